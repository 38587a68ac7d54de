"""Floor 4: bringing a database to what Reserva needs, and saying what keeps it from that."""
