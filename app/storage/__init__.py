"""Floor 2: MongoDB. The only place that makes clients and declares documents and indexes."""

DATABASE = "reserva"
"""The database of an address that names none."""
