"""On real servers: transactions, races, faults."""
