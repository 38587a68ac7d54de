"""Of `app/audit`."""
