"""Floor 5: webhooks, which post the events of the log to those who want them."""
