"""Tells users by mail that their mailbox is nearly full."""
