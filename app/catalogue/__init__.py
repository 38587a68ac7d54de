"""Floor 4: resources, services and customers."""
