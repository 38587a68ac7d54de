"""Floor 5: free slots, explanations of every rule, and the next free starts, all in bounded work."""
