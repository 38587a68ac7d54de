"""Of `app/booking`."""
