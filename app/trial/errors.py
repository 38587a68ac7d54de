"""Failures of a trial."""


class TrialError(Exception):
    """The trial cannot start or go on; the message is for the user, without a traceback."""
