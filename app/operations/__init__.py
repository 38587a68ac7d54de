"""Floor 5: health, readiness and metrics of a process."""
