"""Deletes what has been in a folder for longer than its Mailbox says."""
