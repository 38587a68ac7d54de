"""Beside the floors: the conventions that all HTTP routes share."""
