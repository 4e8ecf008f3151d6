"""For other compiled modules alone."""
