"""Floor 5: the servers of the trial, embedded as child processes."""
