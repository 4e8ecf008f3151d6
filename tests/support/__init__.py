"""What the tests share: a second codec of the format, drivers, child processes, self-describing values."""
