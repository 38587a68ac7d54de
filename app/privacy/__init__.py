"""Floor 5: what a customer may ask for: all that is stored about it, and that its texts are erased."""
