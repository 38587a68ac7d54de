"""Floor 5: when something is free, and why not at another time."""
