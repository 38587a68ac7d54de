"""Floor 5: runs that search for resources above their capacity, the findings that they write, and alerts."""
