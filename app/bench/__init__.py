"""Floor 6: `reserva bench`, which sets Reserva beside other ways to book, in interleaved rounds on one machine."""
