"""Floor 5: reservations as calendars that other programs subscribe to (RFC 5545)."""
