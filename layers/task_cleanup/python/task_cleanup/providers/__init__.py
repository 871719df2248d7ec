"""One module per provider service: its endpoints, how a call is signed, and what its error codes mean."""
