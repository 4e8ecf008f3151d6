"""The storage engine: the log and what stands on it."""
