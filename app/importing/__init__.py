"""Floor 5: importing the rows of a file through the write path."""
