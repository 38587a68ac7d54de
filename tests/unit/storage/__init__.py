"""Of `app/storage`."""
