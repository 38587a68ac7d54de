"""Floor 3: the write path. The only code that writes a status, a time, a resource or units of a reservation."""
