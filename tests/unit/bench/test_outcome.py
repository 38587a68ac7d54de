"""What an outcome says of Reserva's promises."""

import pytest

from app.bench.competitors import Field
from app.bench.double_bookings import Count
from app.bench.run import Outcome


@pytest.mark.parametrize(
    ("accepted", "count", "broken"),
    [
        (10, Count(stored=10, double=0, peak=1), []),
        (10, Count(stored=11, double=0, peak=1), []),  # one whose answer was lost
        (10, Count(stored=10, double=2, peak=3), ["Reserva booked 2 times what was taken."]),
        (10, Count(stored=9, double=0, peak=1), ["Reserva lost 1 bookings."]),
    ],
)
def test_a_broken_promise_is_named(accepted: int, count: Count, broken: list[str]) -> None:
    """A double booking of Reserva, or an acknowledged booking that is not stored, is said in a sentence."""
    field = Field(competitors=[], left_out={}, token="", versions={})
    others = Count(stored=0, double=99, peak=99)

    assert Outcome(
        field, {}, {"reserva": accepted, "unchecked": 5}, {"reserva": count, "unchecked": others}
    ).broken == (broken)
