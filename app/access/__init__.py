"""Floor 4: API keys and what they may do."""
