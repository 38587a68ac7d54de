"""Floor 4: booking the rows of a file, through the write path that everybody uses."""
