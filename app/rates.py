"""Rates of requests, as settings and keys write them: `600/minute`, or `0` where there is no limit."""

import re
from dataclasses import dataclass
from functools import lru_cache

_RATE = re.compile(r"([1-9][0-9]{0,8})/(second|minute|hour|day)")
_SECONDS = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400}


@dataclass(frozen=True, slots=True)
class Rate:
    """How many requests may come in a unit of time: `second`, `minute`, `hour` or `day`."""

    count: int
    unit: str

    @property
    def seconds(self) -> int:
        """The length of the unit."""
        return _SECONDS[self.unit]


@lru_cache(maxsize=1_000)
def read_rate(text: str) -> Rate | None:
    """The rate that a text names; None: no limit.

    Raises:
        ValueError: It is neither a rate nor 0; the message continues the name of what holds it.
    """
    if text == "0":
        return None
    match = _RATE.fullmatch(text)
    if match is None:
        raise ValueError(
            "must be a count of requests in a second, minute, hour or day, like 600/minute, or 0 for no limit."
        )
    return Rate(int(match[1]), match[2])
