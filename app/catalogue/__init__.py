"""Floor 5: resources with their schedules and times off, services, and customers."""
