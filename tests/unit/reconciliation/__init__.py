"""Of `app/reconciliation`."""
