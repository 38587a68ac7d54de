"""The trial: MongoDB and Redis as child processes, with their data in one folder. Not for production."""
