"""Floor 5: reservations as a file, in the columns that an import reads."""
