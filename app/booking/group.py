"""Intents of several reservations: all or none, judged against the state in which all of them are done."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from bson import ObjectId
from typing_extensions import override

from app.booking.book import Book
from app.booking.change import Change
from app.booking.existing import ReservationMoved
from app.booking.intents import View
from app.booking.outcomes import Accepted, Refused
from app.booking.packing import Seeker, arrange
from app.booking.several import MembersRefused, Reason, Several, joined
from app.domain.ids import ResourceId
from app.domain.instants import EARLIEST
from app.errors import Problem
from app.storage.documents import Reservation
from app.storage.reservation_steps import group_record

VERDICTS_MAX = 2_000
"""About how many verdicts are given at most before a group whose members choose from pools is refused."""


@dataclass(slots=True, kw_only=True)
class AllOrNothing(Several[list[Reservation]]):
    """Intents that are accepted together or not at all; the value is the list of their values, in their order."""

    @override
    def judge(self, view: View) -> Accepted[list[Reservation]]:
        """Accept all members; each sees the changes of those before it.

        Raises:
            MembersRefused: with all members that are refused.
            ReservationMoved: a reservation lies on a resource whose guard no member named.
        """
        return self._judge_in(range(len(self.members)), view)

    def _judge_in(self, order: Sequence[int], view: View) -> Accepted[list[Reservation]]:
        """Judge all members, in this order of their indexes."""
        with view.undoing(MembersRefused, ReservationMoved):
            self._prepare(view)
            accepted: dict[int, Accepted[Reservation]] = {}
            refused: dict[int, Reason] = {}
            for index in order:
                try:
                    accepted[index] = self.members[index].judge(view)
                except (Refused, Problem) as reason:
                    refused[index] = reason.with_traceback(None)  # it would refer to this frame, and so to itself
            if refused:
                raise MembersRefused(sorted(refused.items()))
        return self._combine([each for _, each in sorted(accepted.items())])

    def _prepare(self, view: View) -> None:
        """Prepare the view before the first member is judged."""

    def _combine(self, accepted: Sequence[Accepted[Reservation]]) -> Accepted[list[Reservation]]:
        return joined(accepted, [each.value for each in accepted])


class _SeekersFound(Exception):  # noqa: N818  # takes back what the view was prepared with
    """The places of all members are known."""


@dataclass(slots=True, kw_only=True)
class AllOrNothingInPools(AllOrNothing):
    """Members that name a resource or take one of a pool: together they find places, if there are any."""

    members: Sequence[Book | Change]

    @override
    def judge(self, view: View) -> Accepted[list[Reservation]]:
        """Accept all members, in the first of several orders in which each finds a resource.

        They are not refused only because a member took a resource of its pool that another needed. So the members with
        the least choice come first, then those that begin first (which finds a resource for each where those of the
        pool are alike and empty); then a search assigns resources. About `VERDICTS_MAX` verdicts are given.

        Raises:
            MembersRefused: with all members that are refused where each tries its pool by id, so that the same
                request is refused in the same way.
            ReservationMoved: a reservation lies on a resource whose guard no member named.
        """
        choices = [len(member.candidates) for member in self.members]
        if max(choices) == 1:
            return self._judge_in(range(len(self.members)), view)
        orders = self._orders(choices, view)
        for number, order in enumerate(orders[: max(VERDICTS_MAX // sum(choices), 1)]):
            outcome = self._try_order(order, number, view)
            if isinstance(outcome, Accepted):
                return outcome
        if sum(choices) * (len(orders) + 1) <= VERDICTS_MAX and (found := self._search_places(view)) is not None:
            return found
        for member in self.members:
            member.pool_round = None
        return self._judge_in(orders[0], view)

    def _orders(self, choices: Sequence[int], view: View) -> list[list[int]]:
        """The orders of the members, by their indexes, in which they are tried one after the other."""
        indexes, starts = range(len(self.members)), [member.rough_start(view) for member in self.members]
        return [
            sorted(indexes, key=choices.__getitem__),
            sorted(indexes, key=lambda index: (choices[index], starts[index])),
            sorted(indexes, key=lambda index: (choices[index] > 1, starts[index])),
        ]

    def _search_places(self, view: View) -> Accepted[list[Reservation]] | None:
        """Accept all members where a search finds a resource for each."""
        with suppress(Problem):  # raised again, and answered, when all are judged
            found = arrange(self._seekers(view))
            for member, place in zip(self.members, found or [], strict=found is not None):
                member.pool_choice = place
            accepted = self._try_order(range(len(self.members)), 0, view) if found else None
            for member in self.members:
                member.pool_choice = None
            return accepted if isinstance(accepted, Accepted) else None
        return None

    def _seekers(self, view: View) -> list[Seeker]:
        """The members as the search sees them, in the view in which the first of them is judged.

        Raises:
            Problem: a member cannot be judged.
        """
        seekers: list[Seeker] = []
        with suppress(_SeekersFound), view.undoing(_SeekersFound, Problem):
            self._prepare(view)
            seekers = [self._seeker(member, view) for member in self.members]
            raise _SeekersFound
        return seekers

    def _seeker(self, member: Book | Change, view: View) -> Seeker:
        """A member as the search sees it: the resources on which it could be alone."""
        places: dict[ResourceId, tuple[int, int]] = {}
        start = end = EARLIEST
        for candidate in member.candidates:
            verdict, resource_rules = member.verdict_on(candidate, view), view.resource_rules(candidate)
            if verdict.bookable and resource_rules is not None:
                start, end = verdict.block_start, verdict.block_end
                free = resource_rules.capacity - view.calendar(candidate).peak(start, end)
                places[candidate] = verdict.units, free - verdict.units
        return Seeker(start, end, places)

    def _try_order(self, order: Sequence[int], number: int, view: View) -> Accepted[list[Reservation]] | list[int]:
        """Accept all members in this order, or return the indexes of those that are refused."""
        for member in self.members:
            member.pool_round = number
        try:
            return self._judge_in(order, view)
        except MembersRefused as refused:
            return [index for index, _ in refused.members]


@dataclass(slots=True, kw_only=True)
class BookGroup(AllOrNothingInPools):
    """Bookings of one group, whose id is `group`."""

    members: Sequence[Book]
    group: ObjectId = field(default_factory=ObjectId)

    @override
    def _combine(self, accepted: Sequence[Accepted[Reservation]]) -> Accepted[list[Reservation]]:
        group = AllOrNothing._combine(self, accepted)  # noqa: SLF001  # a dataclass with slots has no zero-argument super
        group.documents = [group_record(self.group, group.inserts)]
        return group
