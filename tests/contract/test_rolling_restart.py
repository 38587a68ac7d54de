"""A new version comes into service without a request that fails."""

import pytest

from tests.support.rolling import INSTANCES, roll
from tests.support.staged_app import staged


@pytest.mark.servers("transactions", "fast", once=True)
def test_a_rolling_restart_answers_everything(database_url: str) -> None:
    """Two instances are ended and started one after the other while clients book, and every booking is accepted.

    The clients do what proxies do: they send nothing new to an instance that is not ready, and offer a request to
    another only if the connection was refused. `make bench ARGS="rolling --seconds 60"` is the long form.
    """
    with staged(database_url) as stage:
        rolled = roll(stage, connections=8, seconds=0, lame_duck_seconds=2)

    assert rolled.traffic.failures == []
    assert set(rolled.traffic.statuses) == {201}
    assert rolled.stored == rolled.traffic.statuses[201]
    assert rolled.codes == [0] * (2 * INSTANCES)
