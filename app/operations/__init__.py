"""Floor 4: what an operator asks a running process."""
