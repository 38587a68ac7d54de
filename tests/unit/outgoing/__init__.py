"""Of `app/outgoing`."""
