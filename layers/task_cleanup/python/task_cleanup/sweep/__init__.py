"""The sweep: list, select, check the limits, and request the deletes of what is left over."""
