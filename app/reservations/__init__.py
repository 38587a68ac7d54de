"""Floor 4: reservations as the outside sees them."""
