"""Of `app/importing`."""
