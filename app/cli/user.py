"""The person at the terminal, for histories."""

import getpass

from app.booking import ACTOR_IMPORT
from app.reconciliation.finding_history import ACTOR_WORKER


def user_name() -> str:
    """The user of this terminal, as far as the system knows; never the name of one of our own programs."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container may run under a number that has no name
        return "terminal"
    return "terminal" if user in {ACTOR_IMPORT, ACTOR_WORKER} else user
