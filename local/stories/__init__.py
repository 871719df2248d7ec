"""What `make run`, `make tour` and `make serve` show."""
