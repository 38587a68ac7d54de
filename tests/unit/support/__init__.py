"""Of `tests/support`."""
