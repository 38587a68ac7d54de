"""Beside the floors: what a process notes of its own work, for its log and its metrics."""
