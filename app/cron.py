"""Five cron fields, as everybody writes them, for arq, which wants sets of numbers."""

from dataclasses import dataclass, replace

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_LONGEST = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


@dataclass(frozen=True, slots=True)
class Times:
    """The times at which all of these match, as `arq.cron` takes them; None is any. Monday is 0."""

    month: set[int]
    day: set[int]
    weekday: set[int] | None
    hour: set[int]
    minute: set[int]


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    first: int
    last: int
    names: tuple[str, ...] = ()

    def values(self, text: str) -> set[int]:
        return {value for part in text.split(",") for value in self._part(part)}

    def _part(self, part: str) -> range:
        span, slash, step = part.partition("/")
        low, dash, high = span.partition("-")
        if span == "*":
            first, last = self.first, self.last
        else:
            first = self._number(low)
            last = self._number(high) if dash else self.last if slash else first
        every = self._step(step) if slash else 1
        if first > last:
            raise ValueError(f"{self.name} {part!r} runs backwards.")
        return range(first, last + 1, every)

    def _number(self, text: str) -> int:
        value = self.names.index(text.lower()) + self.first if text.lower() in self.names else _digits(text)
        if value is None or not self.first <= value <= self.last:
            raise ValueError(f"{self.name} {text!r} is not in {self.first}-{self.last}.")
        return value

    def _step(self, text: str) -> int:
        value = _digits(text)
        if not value:
            raise ValueError(f"{self.name}: a step is a whole number from 1, not {text!r}.")
        return value


def _digits(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() else None


_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    _Field("weekday", 0, 7, _DAYS),
)


def parse(text: str) -> list[Times]:
    """The times of a cron line: those of any of the entries, none of which meets another.

    As in every cron, a time matches if its day of the month *or* its weekday does where both are restricted; that
    takes two entries, because arq wants all that it is given to match.

    Raises:
        ValueError: with a sentence that says what is wrong.
    """
    fields = text.split()
    if len(fields) != len(_FIELDS):
        raise ValueError(f"{text!r} must have five fields: minute, hour, day of the month, month, weekday.")
    minute, hour, day, month, weekday = (field.values(part) for field, part in zip(_FIELDS, fields, strict=True))
    if min(day) > max(_LONGEST[number - 1] for number in month):
        raise ValueError(f"{text!r} never comes: no such month has such a day.")
    # Sunday is 0 or 7 in cron and 6 in Python, Monday 1 and 0.
    both = Times(month, day, {(number - 1) % 7 for number in weekday}, hour, minute)
    if fields[2].startswith("*") or fields[4].startswith("*"):
        return [both]
    others = set(range(1, 32)) - day
    by_day = replace(both, weekday=None)
    return [by_day, replace(both, day=others)] if others else [by_day]
