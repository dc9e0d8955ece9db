"""What TLS towards another domain's mail exchangers must be, and what is reported of it."""
