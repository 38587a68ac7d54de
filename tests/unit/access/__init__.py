"""Of `app/access`."""
