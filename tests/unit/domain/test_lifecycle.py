"""The life of a reservation: what may follow what, and what blocks."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.instants import Millis
from app.domain.lifecycle import BLOCKING, FOLLOWS, STATUSES, Status, blocks, is_final, may_follow, status_at

ALLOWED = {
    ("pending", "confirmed"),
    ("pending", "cancelled"),
    ("pending", "expired"),
    ("confirmed", "completed"),
    ("confirmed", "cancelled"),
    ("confirmed", "no-show"),
}
STATUS = st.sampled_from(STATUSES)
INSTANT = st.integers(0, 10**13)


@pytest.mark.parametrize(("status", "wanted"), list(product(STATUSES, STATUSES)))
def test_exactly_these_steps_are_allowed(status: Status, wanted: Status) -> None:
    """The whole table, both what may follow and what may not."""
    assert may_follow(status, wanted) == ((status, wanted) in ALLOWED)


def test_every_status_is_in_the_table() -> None:
    """No status is forgotten, and none can be reached that is not one."""
    assert set(FOLLOWS) == set(STATUSES)
    assert {wanted for following in FOLLOWS.values() for wanted in following} | {"pending"} == set(STATUSES)


@pytest.mark.parametrize("status", STATUSES)
def test_what_blocks_is_what_is_not_final(status: Status) -> None:
    """Pending and confirmed block; everything else is over for good."""
    assert (status in BLOCKING) == (status in {"pending", "confirmed"})
    assert is_final(status) == (status not in BLOCKING)


def test_nothing_that_is_over_comes_back() -> None:
    """No chain of steps leads from a status that does not block to one that does."""
    reached = {status for status in STATUSES if is_final(status)}
    for _ in STATUSES:
        reached |= {wanted for status in reached for wanted in FOLLOWS[status]}

    assert not reached & set(BLOCKING)


class TestHolds:
    """A pending one with an end of its own."""

    @given(INSTANT, st.integers(1, 10**9))
    def test_it_is_over_at_its_instant_and_not_before(self, expires: Millis, before: int) -> None:
        """The last millisecond before still blocks; the instant itself does not."""
        assert status_at("pending", expires, Millis(expires - before)) == "pending"
        assert blocks("pending", expires, Millis(expires - 1))
        assert status_at("pending", expires, expires) == "expired"
        assert not blocks("pending", expires, expires)

    @given(INSTANT, INSTANT, INSTANT)
    def test_it_does_not_come_back(self, expires: Millis, now: Millis, later: int) -> None:
        """Once over, it is over at every later instant."""
        if not blocks("pending", expires, now):
            assert not blocks("pending", expires, Millis(now + later))

    @given(STATUS, st.none() | INSTANT, INSTANT)
    def test_only_a_hold_expires(self, status: Status, expires: Millis | None, now: Millis) -> None:
        """An end left on anything but a pending one means nothing, and none at all means no hold."""
        expired = status == "pending" and expires is not None and expires <= now

        assert status_at(status, expires, now) == ("expired" if expired else status)
        assert blocks(status, expires, now) == (status in BLOCKING and not expired)
