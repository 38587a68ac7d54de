"""Floor 2: MongoDB. Here alone clients are made, documents and indexes declared, and collections and fields named."""

DATABASE = "reserva"
"""The database of an address that names none."""
