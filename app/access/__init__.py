"""Floor 5: API keys, and the guard by which every route declares the scope that it needs."""
