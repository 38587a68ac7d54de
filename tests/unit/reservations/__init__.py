"""Of `app/reservations`."""
