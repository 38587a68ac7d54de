"""Instants: what is read, how it is written, and that the two belong together."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.instants import EARLIEST, EPOCH, LATEST, Millis, from_millis, parse, render, to_millis

MILLIS = st.integers(EARLIEST, LATEST - 1)
OFFSETS = st.integers(-(24 * 60 - 1), 24 * 60 - 1).map(lambda minutes: timezone(timedelta(minutes=minutes)))


class TestParse:
    """What reaches us."""

    @pytest.mark.parametrize(
        ("text", "instant"),
        [
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-01t00:00:00z", 0),
            ("1970-01-01T00:00:00.001Z", 1),
            ("1970-01-01T00:00:00.1Z", 100),
            ("1970-01-01T00:00:00.123000000Z", 123),
            ("1970-01-01T01:00:00+01:00", 0),
            ("1969-12-31T19:00:00-05:00", 0),
            ("2026-03-08T09:00:00-00:00", 1_772_960_400_000),
            ("2026-03-08T14:45:00+05:45", 1_772_960_400_000),
            ("2024-02-29T12:00:00Z", 1_709_208_000_000),
            ("2200-12-31T23:59:59.999Z", LATEST - 1),
            ("2201-01-01T23:58:59.999+23:59", LATEST - 1),
        ],
    )
    def test_what_is_right_is_read(self, text: str, instant: int) -> None:
        """Offsets count, fractions are milliseconds, and the bounds are inside."""
        assert to_millis(parse(text)) == instant

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("", "with its offset"),
            ("2026-03-08", "with its offset"),
            ("2026-03-08T09:00:00", "with its offset"),
            ("2026-03-08 09:00:00Z", "with its offset"),
            ("2026-03-08T09:00Z", "with its offset"),
            ("2026-03-08T09:00:00.Z", "with its offset"),
            ("2026-03-08T09:00:00Z\n", "with its offset"),
            (" 2026-03-08T09:00:00Z", "with its offset"),
            ("2026-03-08T09:00:00+0100", "with its offset"),
            ("٢٠٢٦-03-08T09:00:00Z", "with its offset"),
            ("2026-03-08T09:00:00.0001Z", "to the millisecond"),
            ("2026-03-08T09:00:00.123000001Z", "to the millisecond"),
            ("2026-03-08T09:00:00+24:00", "between -23:59 and +23:59"),
            ("2026-03-08T09:00:00+01:60", "between -23:59 and +23:59"),
            ("2026-02-29T09:00:00Z", "in the calendar"),
            ("2026-13-01T09:00:00Z", "in the calendar"),
            ("2026-03-08T24:00:00Z", "in the calendar"),
            ("2026-03-08T09:00:60Z", "in the calendar"),
            ("0000-03-08T09:00:00Z", "in the calendar"),
            ("0001-01-01T00:00:00+01:00", "in the calendar"),
            ("9999-12-31T23:59:59-01:00", "in the calendar"),
            ("1969-12-31T23:59:59.999Z", "1970 to 2200"),
            ("1970-01-01T00:00:00+00:01", "1970 to 2200"),
            ("2201-01-01T00:00:00Z", "1970 to 2200"),
        ],
    )
    def test_what_is_wrong_is_refused_with_a_reason(self, text: str, says: str) -> None:
        """Missing, impossible, too fine and out-of-bounds values are distinguished."""
        with pytest.raises(ValueError, match=says.replace("+", r"\+")):
            parse(text)

    @given(st.text(max_size=40))
    def test_no_text_does_anything_else(self, text: str) -> None:
        """Any text is an instant or a ValueError."""
        try:
            instant = parse(text)
        except ValueError:
            return
        assert EARLIEST <= to_millis(instant) < LATEST


class TestLaws:
    """How reading, writing and counting belong together."""

    @given(MILLIS)
    def test_what_is_written_is_read_back(self, instant: Millis) -> None:
        """Rendering and parsing are inverse, for a count as for a datetime."""
        assert render(instant) == render(from_millis(instant))
        assert to_millis(parse(render(instant))) == instant

    @given(MILLIS, OFFSETS)
    def test_the_offset_does_not_matter(self, instant: Millis, zone: timezone) -> None:
        """The same instant, written with any offset that RFC 3339 can write, is the same."""
        local = from_millis(instant).astimezone(zone)

        assert to_millis(parse(local.isoformat(timespec="milliseconds"))) == instant
        assert render(local) == render(instant)

    @given(MILLIS)
    def test_counting_and_dates_are_inverse(self, instant: Millis) -> None:
        """Every millisecond has its own datetime, in UTC."""
        assert to_millis(from_millis(instant)) == instant
        assert from_millis(instant).tzinfo is UTC

    @given(MILLIS, MILLIS)
    def test_text_sorts_like_time(self, one: Millis, other: Millis) -> None:
        """Rendered instants compare as the instants do."""
        assert (one < other) == (render(one) < render(other))

    @given(st.datetimes(datetime(1970, 1, 1), datetime(2200, 12, 31), timezones=st.just(UTC)))  # noqa: DTZ001  # bounds must be naive
    def test_finer_digits_are_cut(self, instant: datetime) -> None:
        """Microseconds never round up into the next millisecond."""
        rounded = from_millis(to_millis(instant))

        assert timedelta() <= instant - rounded < timedelta(milliseconds=1)

    def test_elapsed_time_counts_across_a_change_of_clocks(self) -> None:
        """The night in which New York loses an hour has eleven of them, whatever the wall clocks say."""
        evening, morning = parse("2026-03-07T20:00:00-05:00"), parse("2026-03-08T08:00:00-04:00")

        assert to_millis(morning) - to_millis(evening) == 11 * 3_600_000

    def test_bounds(self) -> None:
        """Instants lie in the years 1970 to 2200."""
        assert to_millis(EPOCH) == EARLIEST
        assert from_millis(LATEST) == datetime(2201, 1, 1, tzinfo=UTC)
