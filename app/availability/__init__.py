"""Floor 4: when something is free, and why not at another time."""
