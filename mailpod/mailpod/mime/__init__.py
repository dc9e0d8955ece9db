"""Structure, envelope and headers of a message: bytes in, values out; no I/O, and never an exception."""
