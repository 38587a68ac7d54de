"""Rates as settings and keys write them."""

import pytest

from app.rates import Rate, read_rate


@pytest.mark.parametrize(
    ("text", "count", "seconds"),
    [("1/second", 1, 1), ("600/minute", 600, 60), ("5000/hour", 5_000, 3_600), ("999999999/day", 999_999_999, 86_400)],
)
def test_a_count_in_a_unit(text: str, count: int, seconds: int) -> None:
    """A rate is a count in one of four units."""
    rate = read_rate(text)

    assert rate == Rate(count, text.partition("/")[2])
    assert rate is not None
    assert rate.seconds == seconds


def test_no_limit() -> None:
    """0 alone is no limit."""
    assert read_rate("0") is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "600",
        "off",
        "0/minute",
        "-1/minute",
        "600/min",
        "600/minutes",
        "600 / minute",
        "6e2/minute",
        "600/2minute",
        "1/minute;2/hour",
        "1000000000/minute",
        "600/minute\n",
        "٦/minute",
    ],
)
def test_what_is_no_rate(text: str) -> None:
    """Anything else is refused, with an example of what is not."""
    with pytest.raises(ValueError, match="like 600/minute, or 0 for no limit"):
        read_rate(text)
