"""What the tests that need a running server share: a whole local Mailpod, clients byte by byte, and their manifests."""
