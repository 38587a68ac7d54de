"""Floor 5: runs that look for resources above their capacity, the findings that they write, and alerts."""
