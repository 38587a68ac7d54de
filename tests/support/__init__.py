"""What tests and benchmarks share: servers, processes, clients, models and checks."""
