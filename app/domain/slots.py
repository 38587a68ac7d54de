"""Slots: the starts on the grid that every rule lets pass, with what remains of the capacity.

Whether a start can be booked is `rules.judge`'s alone to say. What is never asked about are starts of which it is known
beforehand that judge refuses them: those that meet the same full stretch or the same time off as the one before.
"""

from bisect import bisect_left
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from app.domain.grid import Grid, full_days
from app.domain.instants import DAY, EARLIEST, LATEST, Millis
from app.domain.load import Profile
from app.domain.rules import LONGEST, BookingRequest, ResourceRules, ServiceRules, block_of, judge
from app.domain.schedule import TimeOffIndex, Window
from app.domain.zones import zone

TIMELESS = frozenset({"resource-active", "service-active", "service-offered", "guests"})
"""Rules that say the same of every start; so does `duration`, but of whole days."""
STARTS_BETWEEN_LOOKS = 64
"""At the clock."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for: so many guests, for so long (`length` in milliseconds, or `days` of a full-day service)."""

    length: Millis
    guests: int = 1
    days: int = 1
    ignore: Hashable | None = None
    lifted: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Slot:
    """A time that can be booked; `remaining`: capacity less the peak in its block, without ours."""

    resource: str
    start: Millis
    end: Millis
    remaining: int


@dataclass(slots=True)
class Budget:
    """How much work one question may be: starts to look at, and time. All of its searches share it.

    Args:
        starts: That may still be looked at.
        late: Whether the time is over.
    """

    starts: int
    late: Callable[[], bool] = lambda: False
    spent: bool = False
    """Whether something was left undone."""

    def take(self) -> bool:
        """Take one start; False if there is none left."""
        self.starts -= 1
        if self.starts < 0 or (self.starts % STARTS_BETWEEN_LOOKS == 0 and self.late()):
            self.spent = True
        return not self.spent


@dataclass(frozen=True, slots=True)
class Candidates:
    """The times on the grid of one resource, judged by nothing yet: `runs` of starts, sorted and apart.

    `ends` of full days; else a slot ends a `length` after its start. `open_windows` are where the grid was made.
    """

    room: ResourceRules
    runs: Sequence[Sequence[Millis]]
    length: Millis = 0
    ends: Mapping[Millis, Millis] = field(default_factory=dict)
    open_windows: Sequence[Window] = ()

    @classmethod
    def of(
        cls, room: ResourceRules, offer: ServiceRules | None, asked: Asked, after: Millis, before: Millis
    ) -> "Candidates":
        """Those that start in `[after, before)`, and can be written down."""
        tz, after = zone(room.timezone), max(after, EARLIEST)
        if offer and offer.kind == "full-day":
            slots = full_days(tz, after, before, asked.days)
            ends = {start: end for start, end in slots if end - start <= LONGEST and end < LATEST}
            return cls(room, [[*ends]] if ends else [], ends=ends)
        before = min(before, LATEST - asked.length)
        if asked.length > LONGEST or before <= after:
            return cls(room, [])
        grid = Grid(room.schedule, tz, asked.length, offer.interval if offer and offer.interval else asked.length)
        open_windows = grid.windows(after, before)
        return cls(room, [*grid.runs(open_windows, after, before)], asked.length, open_windows=open_windows)

    @property
    def count(self) -> int:
        """How many there are, told without making them."""
        return sum(len(run) for run in self.runs)

    def end(self, start: Millis) -> Millis:
        """When the slot ends that begins then."""
        return self.ends[start] if self.ends else start + self.length

    def __iter__(self) -> Iterator[tuple[Millis, Millis]]:
        """All of them, start and end."""
        return ((start, self.end(start)) for run in self.runs for start in run)


def longest_of(asked: Asked, offer: ServiceRules | None) -> Millis:
    """The most time that a slot can take: a local day may have more than 24 hours."""
    return (asked.days + 1) * DAY if offer and offer.kind == "full-day" else asked.length


def slots(
    candidates: Candidates, offer: ServiceRules | None, asked: Asked, profile: Profile, budget: Budget | None = None
) -> Iterator[Slot]:
    """The candidates that can be booked, by start; fewer where the budget is spent.

    `profile` is that of the resource, without what is asked to be ignored.
    """
    room = candidates.room
    hurdles = _Hurdles(room, offer, asked, profile)
    timeless = TIMELESS if candidates.ends else TIMELESS | {"duration"}
    possible = hurdles.earliest
    for run in candidates.runs:
        index = bisect_left(run, possible)
        while index < len(run):
            start = run[index]
            if start > hurdles.latest or (budget is not None and not budget.take()):
                return
            end = candidates.end(start)
            possible = hurdles.passed(start, end)
            if possible > start:
                index = bisect_left(run, possible, index + 1)
                continue
            wish = BookingRequest(start, end, asked.guests, asked.lifted, asked.ignore)
            verdict = judge(wish, room, offer, profile, open_windows=candidates.open_windows, blame=False)
            if verdict.bookable:
                yield Slot(room.id, start, end, room.capacity - verdict.load)
            elif any(check.rule in timeless for check in verdict.failed):
                return
            index += 1


class _Hurdles:
    """What keeps many starts in a row from being bookable, known without judging each."""

    def __init__(self, room: ResourceRules, offer: ServiceRules | None, asked: Asked, profile: Profile) -> None:
        self._offer = offer
        self._profile = profile
        self._free = -1 if "capacity" in asked.lifted else room.capacity - room.units(asked.guests)
        self._time_off = TimeOffIndex() if "time-off" in asked.lifted else room.times_off
        self.earliest: Millis = EARLIEST
        """What starts before it fails `notice`."""
        self.latest: Millis = LATEST
        """What starts after it fails `horizon`."""
        if offer is not None and "notice" not in asked.lifted:
            self.earliest = max(profile.now + offer.notice, EARLIEST)
        if offer is not None and offer.horizon is not None and "horizon" not in asked.lifted:
            self.latest = profile.now + offer.horizon

    def passed(self, start: Millis, end: Millis) -> Millis:
        """The first start, from this one on, that meets none of what is in the way of this one."""
        first = start
        if self._free >= 0:
            full_until = self._profile.full_until(*block_of(start, end, self._offer), self._free)
            if full_until is not None:
                first = max(first, full_until + (self._offer.before if self._offer else 0))
        away_until = self._time_off.until(start, end)
        return first if away_until is None else max(first, away_until)
