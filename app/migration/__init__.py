"""Floor 4: `reserva migrate`: builds collections, indexes and guards, and reports what is in their way."""
