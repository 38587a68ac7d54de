"""How Reserva speaks HTTP, the same for every noun: strict JSON, problems, versions, pages, parameters."""
