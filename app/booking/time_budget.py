"""How the time of a caller is divided: waiting for a batch, the batch, and its commit."""

from app.booking.timestamps import COMMIT_SECONDS

BUDGET_MIN_SECONDS = 0.5
"""The least time of a batch, also where its last deadline is nearer."""
START_RESERVE_SECONDS = 0.6
"""An intent with less time left (or less than a quarter of its time) joins no batch: its outcome would probably be
unknown to its caller."""
BATCHES_RESERVE = 1.5
"""An intent with less time left than this many batches take (or less than half of its time) joins no batch either: an
intent whose deadline passes in a batch makes the whole batch run again."""
BATCH_SECONDS_DECAY = 0.8
"""The factor by which the time of a slow batch decays with each faster one after it."""
COMMIT_RESERVE_SECONDS = 0.4
"""The end of a batch's time, reserved for the commit and for the read that finds out whether it was applied."""


def start_reserve_seconds(seconds: float, batch_seconds: float) -> float:
    """How long before its deadline an intent can join a batch for the last time.

    Args:
        seconds: The whole time of the intent.
        batch_seconds: The seconds that a batch takes at present.
    """
    return max(min(START_RESERVE_SECONDS, seconds / 4), min(BATCHES_RESERVE * batch_seconds, seconds / 2))


def budget_seconds(left_seconds: float) -> float:
    """How long the steps of a batch may take, given the seconds to the last deadline of its intents.

    A batch that takes longer than `COMMIT_SECONDS` does not commit, however late its deadlines are.
    """
    return min(max(left_seconds - COMMIT_RESERVE_SECONDS, BUDGET_MIN_SECONDS), COMMIT_SECONDS)


def typical_batch_seconds(before_seconds: float, latest_seconds: float) -> float:
    """The seconds that a batch takes at present: those of the latest, or those of a slower one before, decayed."""
    return max(latest_seconds, before_seconds * BATCH_SECONDS_DECAY)
