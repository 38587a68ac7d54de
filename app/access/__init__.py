"""Floor 5: API keys and what they may do."""
