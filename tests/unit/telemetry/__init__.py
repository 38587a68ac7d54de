"""Of `app/telemetry`."""
