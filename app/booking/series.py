"""Booking a series: a reservation that recurs, with all of its occurrences, or all that can be booked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from typing_extensions import override

from app.booking.book import Book
from app.booking.intents import View
from app.booking.outcomes import Accepted, BookedSeries, Refused
from app.booking.pool_choice import candidates_in_order
from app.booking.several import MembersRefused, Several, joined
from app.domain.ids import ResourceId
from app.storage.documents import Reservation, Series, SeriesOccurrence
from app.storage.reservation_steps import series_record

SERIES_VERDICTS_MAX = 2_000
"""How many occurrences a series may have at most, times the resources of its pool: each takes two finds."""


@dataclass(slots=True, kw_only=True)
class BookSeries(Several[BookedSeries]):
    """Bookings that differ in their times alone, all on one resource; each counts for those after it.

    From a pool the first resource is chosen, in the order of the service's assignment, that is free for all. Where none
    is, it is that with the fewest refused occurrences, by id: a repeated request is refused in the same way.

    Args:
        members: The bookings, in the order of their times.
        series: The document of the series, with the local time of each member, as yet without reservations.
        skips: Whether an occurrence that the rules refuse is left out, as long as one is booked.
        advice: Starts that are free instead of occurrences, by their indexes, for the answer.
    """

    members: Sequence[Book]
    series: Series
    skips: bool = False
    advice: Mapping[int, Sequence[str]] = field(default_factory=dict)

    @property
    @override
    def lengthy(self) -> bool:
        """Always: it has many occupants to read, so a batch of its own lets other bookings overtake it."""
        return True

    @override
    def judge(self, view: View) -> Accepted[BookedSeries]:
        """Accept all occurrences, or those that the rules allow.

        Raises:
            MembersRefused: with all that are refused, of a pool on the resource with the fewest.
            Problem: as `Book.judge` has it, for all of them.
        """
        refused: list[tuple[ResourceId, MembersRefused]] = []
        for candidate in self._candidates_in_order(view):
            try:
                return self._book_on(candidate, view)
            except MembersRefused as reason:
                refused.append((candidate, reason.with_traceback(None)))
        candidate, fewest = min(refused, key=lambda each: (len(each[1].members), each[0]))
        if self.skips and len(fewest.members) < len(self.members):
            return self._book_on(candidate, view, skips=True)
        self._assign(candidate)
        raise fewest

    @property
    def resource(self) -> ResourceId | None:
        """The resource that was judged last: the one of the answer."""
        return self.members[0].pool_choice

    def _candidates_in_order(self, view: View) -> Sequence[ResourceId]:
        self._assign(None)
        first = self.members[0]
        return candidates_in_order(first, view.service_rules(first.service) if first.service else None, view)

    def _assign(self, resource: ResourceId | None) -> None:
        for member in self.members:
            member.pool_choice = resource

    def _book_on(self, resource: ResourceId, view: View, *, skips: bool = False) -> Accepted[BookedSeries]:
        """Accept the occurrences on a resource; nothing stays in its calendar where the series is refused.

        A problem is that of all, so the first of them raises it, before anything is in the calendar.
        """
        self._assign(resource)
        accepted: list[Accepted[Reservation]] = []
        refused: list[tuple[int, Refused]] = []
        for index, member in enumerate(self.members):
            try:
                accepted.append(member.judge(view))
            except Refused as reason:
                refused.append((index, reason.with_traceback(None)))
        if refused and not skips:
            for member in self.members:
                view.calendar(resource).remove(member.reservation)
            raise MembersRefused(refused)
        return self._accept(accepted, refused)

    def _accept(
        self, accepted: Sequence[Accepted[Reservation]], refused: Sequence[tuple[int, Refused]]
    ) -> Accepted[BookedSeries]:
        record = self._record({index for index, _ in refused})
        booked = joined(accepted, BookedSeries(record, [each.value for each in accepted], refused, self.advice))
        booked.documents = [series_record(record)]
        return booked

    def _record(self, skipped: set[int]) -> Series:
        """The document of the series, with the reservations of all occurrences but those that were left out."""
        occurrences = [
            SeriesOccurrence(
                local_start=known.local_start,
                reservation=None if index in skipped else member.reservation,  # pyright: ignore[reportArgumentType]  # Beanie's ObjectId
            )
            for index, (known, member) in enumerate(zip(self.series.occurrences, self.members, strict=True))
        ]
        record: Series = self.series.model_copy(update={"occurrences": occurrences})
        return record
