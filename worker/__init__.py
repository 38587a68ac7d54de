"""Floor 5: the arq worker."""
