"""Wire formats without sockets: bytes in, requests and replies out. What may not live here: input, output, clocks."""
