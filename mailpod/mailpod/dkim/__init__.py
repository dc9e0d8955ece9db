"""DKIM (RFC 6376, RFC 8463): canonical forms, signatures, and the keys that this pod signs with."""
