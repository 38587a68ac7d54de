"""Floor 6: the arq worker."""
