"""The document of the HTTP API, and its page."""
