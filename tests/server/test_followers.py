"""Followers against writers, while everything between them is killed: counts only, exact ones.

The benchmark plays the same for longer.
"""

from pathlib import Path

import pytest

from tests.support.following_storm import Plan, follow
from tests.support.servers import NotAtHand

PLAN = Plan(("relay killed", "app killed", "database killed"), fault_seconds=0, pause_seconds=0.4, workers=1)
"""There is no relay until another worker is started."""


@pytest.mark.servers("transactions", "fast", "local")
@pytest.mark.promise("events")
def test_each_change_reaches_each_follower_once_and_in_order(tmp_path: Path, server_name: str) -> None:
    """Whether it asks, waits, reads a stream or has a webhook, and whichever process is killed meanwhile."""
    assert server_name == "rust"  # of which one is started that may be killed
    try:
        outcome = follow(tmp_path, PLAN)
    except NotAtHand as reason:
        pytest.skip(f"a server that may be killed: {reason}")

    wrong = {name: (each.missed, each.faults) for name, each in outcome.followed.items() if each.missed or each.faults}
    assert wrong == {}
    assert outcome.disagreements == []
    assert outcome.stuck is None
    assert (outcome.lost, outcome.forged) == (0, 0)
