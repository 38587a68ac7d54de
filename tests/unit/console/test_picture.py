"""The picture of a finding: the load over time, and where it is drawn."""

from datetime import UTC, datetime

from app.console.picture import LOAD_HEIGHT, TICKS_MAX, Stretch, Taken, picture
from app.domain.instants import DAY, FIRST, HOUR, LAST, MINUTE, Millis, to_millis

NOON = to_millis(datetime(2030, 3, 30, 12, tzinfo=UTC))


def at(hours: float) -> Millis:
    """An instant that many hours after noon."""
    return Millis(NOON + int(hours * HOUR))


def test_the_load() -> None:
    """Stretches of equal load are one; between reservations there is none."""
    taken = [
        Taken("a", at(0), at(2), 1),
        Taken("b", at(1), at(2), 2),
        Taken("c", at(2), at(3), 3),
        Taken("d", at(4), at(5), 1),
    ]

    drawn = picture((at(1), at(3)), 2, taken, "UTC")

    assert drawn.stretches == [
        Stretch(at(0), at(1), 1),
        Stretch(at(1), at(3), 3),
        Stretch(at(4), at(5), 1),
    ]
    assert drawn.highest == 3
    assert drawn.height(3) == LOAD_HEIGHT


def test_what_is_shown() -> None:
    """All that the reservations reach, but no more around the window than makes it a quarter of the picture."""
    short = picture((at(0), at(1)), 1, [Taken("a", at(0), at(1), 2)], "UTC")
    long = picture((at(0), at(1)), 1, [Taken("a", at(-90), at(90), 2)], "UTC")

    assert (short.start, short.end) == (at(0) - MINUTE, at(1) + MINUTE)
    assert (long.start, long.end) == (at(-1.5), at(2.5))
    assert long.place(*long.window) == ("37.500%", "25.000%")
    assert long.place(at(-90), at(90)) == ("0.000%", "100.000%")


def test_the_axis_over_a_change_of_clocks() -> None:
    """Marks stand at round wall times, with the date at the beginning of a day; there are few of them."""
    drawn = picture((at(0), at(30)), 1, [Taken("a", at(-40), at(70), 2)], "Europe/Berlin")

    ticks = [*drawn.ticks()]

    assert 3 < len(ticks) <= TICKS_MAX
    assert [tick.at for tick in ticks if tick.is_day]
    assert all((tick.at - NOON) % HOUR == 0 for tick in ticks)


def test_an_empty_picture() -> None:
    """A finding whose reservations are gone still shows its window."""
    drawn = picture((at(0), at(1)), 1, [], "UTC")

    assert drawn.stretches == []
    assert drawn.highest == 1


def test_the_ends_of_the_calendar() -> None:
    """What other programs stored may lie anywhere; then there are stretches, and marks where there can be any."""
    for window in ((FIRST, Millis(FIRST + DAY)), (Millis(LAST - DAY), LAST), (FIRST, LAST)):
        drawn = picture(window, 1, [Taken("a", FIRST, LAST, 2)], "Pacific/Apia")

        assert FIRST <= drawn.start < drawn.end <= LAST
        assert len(drawn.stretches) == 1
        assert len([*drawn.ticks()]) <= TICKS_MAX
