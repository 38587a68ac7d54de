"""Tests of `app.exporting` without a database."""
