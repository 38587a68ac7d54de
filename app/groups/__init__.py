"""Floor 4: several reservations booked, confirmed, cancelled or moved as one."""
