"""Floor 5: booking the rows of a file, through the write path that everybody uses."""
