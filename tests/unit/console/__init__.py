"""Tests of `app.console`."""
