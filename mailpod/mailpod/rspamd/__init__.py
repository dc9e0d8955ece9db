"""What rspamd says of mail that comes in, asked by its HTTP interface."""
