"""Floor 6: the trial: MongoDB and Redis as child processes, with data in one folder. Not for production."""
