"""Of `app/http`."""
