"""What keeps a trial from starting or ends it."""


class TrialError(Exception):
    """The trial cannot go on; the message is for whoever started it, without a traceback."""
