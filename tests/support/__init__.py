"""What tests and benchmarks share: servers, processes, clients, models and judges. No test stands here."""
