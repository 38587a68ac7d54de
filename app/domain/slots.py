"""Slots: the starts on the grid that every rule allows, with what remains of the capacity.

`rules.judge` alone says whether a start can be booked. The search skips starts that `judge` is known to refuse: those
that meet the same full stretch or the same time off as the start before, and where the schedule is asked at the ends
alone those that end in the same closed stretch. It judges the first of the other starts, whose verdict holds for all of
them: each lies in an open window and all have one length, so only the load differs.
"""

from bisect import bisect_left
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from app.domain.grid import Grid, full_days
from app.domain.ids import ResourceId
from app.domain.instants import DAY, EARLIEST, LATEST, Duration, Millis
from app.domain.lengths import LENGTH_MAX
from app.domain.load import Profile
from app.domain.rules import BookingRequest, ResourceRules, ServiceRules, block_of, judge
from app.domain.schedule import Window, open_end_from
from app.domain.zones import zone

SAME_FOR_EVERY_START = frozenset({"resource-active", "service-active", "service-offered", "guests"})
"""Rules whose verdict is the same for every start; so is that of `duration`, unless days are counted."""
STARTS_PER_CLOCK_READ = 64
"""A budget asks whether it is late once in so many starts."""


@dataclass(frozen=True, slots=True)
class SlotQuery:
    """The slots to search for: `length` in milliseconds, or `days` of a full-day service, for so many guests."""

    length: Duration
    guests: int = 1
    days: int = 1
    ignore: Hashable | None = None
    lifted: frozenset[str] = frozenset()


class Slot(NamedTuple):
    """A time that can be booked. `remaining` is the capacity less the peak load in its block, before it is booked.

    The fields are in the order in which slots are sorted.
    """

    start: Millis
    resource: ResourceId
    end: Millis
    remaining: int


@dataclass(slots=True)
class Budget:
    """How much work all searches of one query may be.

    Args:
        starts: How many starts may still be examined.
        late: Whether the time is over.
    """

    starts: int
    late: Callable[[], bool] = lambda: False
    spent: bool = False
    """Whether a search ended early because of it."""

    def take(self) -> bool:
        """Count one start; False if none is left, or it is late."""
        self.starts -= 1
        if self.starts < 0 or (self.starts % STARTS_PER_CLOCK_READ == 0 and self.late()):
            self.spent = True
        return not self.spent


@dataclass(frozen=True, slots=True)
class Candidates:
    """The times on the grid of one resource, before any rule has judged them: `runs` of starts, sorted and disjoint.

    `ends` maps starts of full-day slots to their ends; other slots end `length` milliseconds after their start.
    `open_windows` are the open stretches that the grid was made from.
    """

    resource: ResourceRules
    runs: Sequence[Sequence[Millis]]
    length: Duration = 0
    ends: Mapping[Millis, Millis] = field(default_factory=dict)
    open_windows: Sequence[Window] = ()

    @classmethod
    def of(
        cls, resource: ResourceRules, service: ServiceRules | None, query: SlotQuery, after: Millis, before: Millis
    ) -> "Candidates":
        """The candidates that start in `[after, before)`, and end within the years that instants can have."""
        tz, after = zone(resource.timezone), max(after, EARLIEST)
        if service and service.kind == "full-day":
            slots = full_days(tz, after, before, query.days)
            ends = {start: end for start, end in slots if end - start <= LENGTH_MAX and end < LATEST}
            return cls(resource, [[*ends]] if ends else [], ends=ends)
        before = min(before, Millis(LATEST - query.length))
        if query.length > LENGTH_MAX or before <= after:
            return cls(resource, [])
        interval = service.interval if service and service.interval else query.length
        grid = Grid(resource.schedule, tz, query.length, interval, may_leave=service is not None and service.at_ends)
        open_windows = grid.windows(after, before)
        return cls(resource, [*grid.runs(open_windows, after, before)], query.length, open_windows=open_windows)

    @property
    def count(self) -> int:
        """How many candidates there are, counted without making them."""
        return sum(len(run) for run in self.runs)

    def end(self, start: Millis) -> Millis:
        """The end of the slot that starts at `start`."""
        return self.ends[start] if self.ends else Millis(start + self.length)

    def __iter__(self) -> Iterator[tuple[Millis, Millis]]:
        """The candidates as pairs of start and end."""
        return ((start, self.end(start)) for run in self.runs for start in run)


def longest_of(query: SlotQuery, service: ServiceRules | None) -> Duration:
    """An upper bound of a slot's length: a local day may have more than 24 hours."""
    return (query.days + 1) * DAY if service and service.kind == "full-day" else query.length


def slots(
    candidates: Candidates,
    service: ServiceRules | None,
    query: SlotQuery,
    profile: Profile,
    budget: Budget | None = None,
) -> Iterator[Slot]:
    """The candidates that can be booked, by start; fewer where the budget is spent.

    `profile` is the resource's, without the reservation that the query ignores.
    """
    resource = candidates.resource
    hurdles = _Hurdles(candidates, service, query, profile)
    timeless = SAME_FOR_EVERY_START if candidates.ends else SAME_FOR_EVERY_START | {"duration"}
    possible, accepted = hurdles.earliest, False
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
            index += 1
            if not accepted:
                request = BookingRequest(start, end, query.guests, query.lifted, query.ignore)
                verdict = judge(
                    request, resource, service, profile, open_windows=candidates.open_windows, list_conflicts=False
                )
                if any(check.rule in timeless for check in verdict.failed):
                    return
                if not verdict.bookable:
                    continue
                accepted = not candidates.ends  # a day may be closed, and days differ in length
            load = profile.peak(*block_of(start, end, service), query.ignore)
            yield Slot(start, resource.id, end, resource.capacity - load)


class _Hurdles:
    """What makes many starts in a row unbookable, computed without judging each."""

    def __init__(
        self, candidates: Candidates, service: ServiceRules | None, query: SlotQuery, profile: Profile
    ) -> None:
        resource = candidates.resource
        self._open_windows = candidates.open_windows
        self._asks_end = (
            service is not None and service.at_ends and not candidates.ends and "schedule" not in query.lifted
        )
        self._service = service
        self._profile = profile
        self._free = -1 if "capacity" in query.lifted else resource.capacity - resource.units(query.guests)
        self._times_off = () if "time-off" in query.lifted else (resource.time_off_index, resource.closed_index)
        self.earliest = EARLIEST
        """Earlier starts fail `notice`."""
        self.latest = LATEST
        """Later starts fail `horizon`."""
        if service is not None and "notice" not in query.lifted:
            self.earliest = max(Millis(profile.now + service.notice), EARLIEST)
        if service is not None and service.horizon is not None and "horizon" not in query.lifted:
            self.latest = Millis(profile.now + service.horizon)

    def passed(self, start: Millis, end: Millis) -> Millis:
        """The first start, from this one on, that is past the full stretch and the time off that this one meets.

        Where the schedule is asked at the end, it is also past the starts that end when this one finds it closed.
        """
        first = start
        if self._asks_end:
            first = Millis(start + open_end_from(self._open_windows, end) - end)
        if self._free >= 0:
            full_until = self._profile.full_until(*block_of(start, end, self._service), self._free)
            if full_until is not None:
                first = max(first, Millis(full_until + (self._service.buffer_before if self._service else 0)))
        for times_off in self._times_off:
            first = max(first, times_off.until(start, end) or first)
        return first
