"""Of `app/bench`."""
