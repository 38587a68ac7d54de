"""Of `app/domain`."""
