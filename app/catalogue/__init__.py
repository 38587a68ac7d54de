"""Floor 5: resources, services and customers."""
