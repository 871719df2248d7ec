"""Programs that measure the bundle, and one that tries to make it lose messages."""
