"""Mailpod's data plane: SMTP, IMAP and POP3 over one bucket."""
