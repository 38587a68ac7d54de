"""Of `app/availability`."""
