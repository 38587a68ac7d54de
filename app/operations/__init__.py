"""Floor 4: health and readiness."""
