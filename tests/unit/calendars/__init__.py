"""Of `app/calendars`."""
