"""Floor 5: reservations as the outside sees them."""
