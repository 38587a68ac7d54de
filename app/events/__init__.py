"""Floor 5: the events of changes, from the outbox to those who follow them."""
