"""Tests of `app.events`."""
