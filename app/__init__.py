"""Reserva: a reservation engine that cannot double-book."""
