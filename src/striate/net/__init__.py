"""Sockets and event loops: what brings bytes to the protocols and commands, and takes their answers away."""
