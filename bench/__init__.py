"""What measures the bundle, and what tries to break it."""
