"""Pure code: no server, often laws found with Hypothesis."""
