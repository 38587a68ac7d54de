"""Floor 5: health and readiness."""
