"""Several reservations as one wish: all of them or none, judged against the state in which all are there."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from bson import ObjectId

from app.booking.book import Book
from app.booking.change import Change
from app.booking.existing import ReservationMoved
from app.booking.intents import Intent, Lane, Target, View
from app.booking.outcomes import Accepted, Refused
from app.booking.packing import Seeker, arrange
from app.domain.lifecycle import BLOCKING
from app.errors import Problem
from app.storage.documents import Reservation
from app.storage.occupancy import occupancy
from app.storage.span import Span

Reason = Refused | Problem

VERDICTS_MAX = 2_000
"""About how many are given at most before a group that could be arranged in many ways is refused."""


class MembersRefused(Exception):  # noqa: N818  # verdicts, not an error
    """Some members cannot be had; each with its place in the request and its reason."""

    def __init__(self, members: list[tuple[int, Reason]]) -> None:
        super().__init__(f"{len(members)} members cannot be had")
        self.members = members


@dataclass(slots=True, kw_only=True)
class AllOrNothing(Intent[list[Reservation]]):
    """Intents that are accepted together or not at all. The value is a list of theirs, in their order."""

    members: Sequence[Intent[Reservation]]

    @property
    def writes(self) -> int:
        """What all of them write."""
        return sum(member.writes for member in self.members)

    @property
    def size(self) -> int:
        """What all of them write, in bytes."""
        return sum(member.size for member in self.members)

    def lanes(self) -> frozenset[Lane]:
        """Everybody's."""
        return frozenset[Lane]().union(*(member.lanes() for member in self.members))

    def guards(self) -> frozenset[Lane]:
        """Everybody's."""
        return frozenset[Lane]().union(*(member.guards() for member in self.members))

    def services(self) -> frozenset[str]:
        """Everybody's."""
        return frozenset[str]().union(*(member.services() for member in self.members))

    def targets(self) -> frozenset[Target]:
        """Everybody's."""
        return frozenset[Target]().union(*(member.targets() for member in self.members))

    def reservations(self) -> list[ObjectId]:
        """Everybody's, in their order."""
        return [identity for member in self.members for identity in member.reservations()]

    def spans(self, view: View) -> list[Span]:
        """Everybody's."""
        spans: list[Span] = []
        for member in self.members:
            with suppress(Problem):  # it will be raised again, and told, when the member is judged
                spans += member.spans(view)
        return spans

    def judge(self, view: View) -> Accepted[list[Reservation]]:
        """All of them; each sees those before it.

        Raises:
            MembersRefused: with everybody who cannot be had.
            Elsewhere: one lies on a resource whose guard is not held.
        """
        return self._judge_in(range(len(self.members)), view)

    def _judge_in(self, order: Sequence[int], view: View) -> Accepted[list[Reservation]]:
        """All of them, in this order of their places."""
        with view.undoing(MembersRefused, ReservationMoved):
            self._prepare(view)
            accepted: dict[int, Accepted[Reservation]] = {}
            refused: dict[int, Reason] = {}
            for place in order:
                try:
                    accepted[place] = self.members[place].judge(view)
                except (Refused, Problem) as reason:
                    refused[place] = reason
            if refused:
                raise MembersRefused(sorted(refused.items()))
        return self._combine([each for _, each in sorted(accepted.items())])

    def _prepare(self, view: View) -> None:
        """What must be so before the first member is judged."""

    def _combine(self, accepted: Sequence[Accepted[Reservation]]) -> Accepted[list[Reservation]]:
        writing = next((each for each in accepted if each.writes), accepted[0])
        return Accepted(
            [each.value for each in accepted],
            proof=writing.proof,
            inserts=[row for each in accepted for row in each.inserts],
            updates=[update for each in accepted for update in each.updates],
            blocks=[block for each in accepted for block in each.blocks],
            taken=[span for each in accepted for span in each.taken],
        )


@dataclass(slots=True, kw_only=True)
class BookGroup(AllOrNothing):
    """Bookings that belong together under the id `group`."""

    members: Sequence[Book]
    group: ObjectId = field(default_factory=ObjectId)

    def judge(self, view: View) -> Accepted[list[Reservation]]:
        """All of them, in the first of several orders in which all find a place.

        Where members may choose from a pool, one that could have gone elsewhere is no reason for a refusal: those of
        the least choice come first, then those that begin first (which finds a place for all where the members of the
        pool are alike and empty); then a search looks for places. About `VERDICTS` are given at most.

        Raises:
            MembersRefused: with everybody who cannot be had where all choose by id: the same request is refused in
                the same way.
        """
        choices = [len(member.candidates) for member in self.members]
        if max(choices) == 1:
            return self._judge_in(range(len(self.members)), view)
        orders = self._orders(choices)
        for number, order in enumerate(orders[: max(VERDICTS_MAX // sum(choices), 1)]):
            left = self._try_order(order, number, view)
            if isinstance(left, Accepted):
                return left
        if sum(choices) * (len(orders) + 1) <= VERDICTS_MAX and (found := self._search_places(view)) is not None:
            return found
        for member in self.members:
            member.pool_round = None
        return self._judge_in(orders[0], view)

    def _orders(self, choices: Sequence[int]) -> list[list[int]]:
        """The places of the members, in the orders in which they are tried one after the other."""
        places, starts = range(len(self.members)), [member.start for member in self.members]
        return [
            sorted(places, key=choices.__getitem__),
            sorted(places, key=lambda place: (choices[place], starts[place])),
            sorted(places, key=lambda place: (choices[place] > 1, starts[place])),
        ]

    def _search_places(self, view: View) -> Accepted[list[Reservation]] | None:
        """All of them, where a search finds a place for each."""
        with suppress(Problem):  # it will be raised again, and told, when all are judged
            found = arrange([self._seeker(member, view) for member in self.members])
            for member, place in zip(self.members, found or [], strict=found is not None):
                member.pool_choice = place
            accepted = self._try_order(range(len(self.members)), 0, view) if found else None
            for member in self.members:
                member.pool_choice = None
            return accepted if isinstance(accepted, Accepted) else None
        return None

    def _seeker(self, member: Book, view: View) -> Seeker:
        """A member as the search sees it: where it could be if it were alone."""
        places: dict[str, tuple[int, int]] = {}
        start = end = 0
        for candidate in member.candidates:
            verdict, resource_rules = member.verdict_on(candidate, view), view.resource_rules(candidate)
            if verdict.bookable and resource_rules is not None:
                start, end = verdict.block_start, verdict.block_end
                free = resource_rules.capacity - view.calendar(candidate).peak(start, end)
                places[candidate] = verdict.units, free - verdict.units
        return Seeker(start, end, places)

    def _try_order(self, order: Sequence[int], number: int, view: View) -> Accepted[list[Reservation]] | list[int]:
        """All of them, or the places of those who found nothing."""
        for member in self.members:
            member.pool_round = number
        try:
            return self._judge_in(order, view)
        except MembersRefused as refused:
            return [place for place, _ in refused.members]

    def _combine(self, accepted: Sequence[Accepted[Reservation]]) -> Accepted[list[Reservation]]:
        joined = AllOrNothing._combine(self, accepted)  # noqa: SLF001  # a dataclass with slots has no zero-argument super
        joined.documents = [("groups", {"_id": self.group, "reservations": [row.id for row in joined.inserts]})]
        return joined


@dataclass(slots=True, kw_only=True)
class Move(AllOrNothing):
    """Changes of times and resources, judged against the final state, so that two bookings can swap."""

    members: Sequence[Change]

    def _prepare(self, view: View) -> None:
        """Everybody leaves before anybody arrives.

        Who stays, or only gives way, is never refused: so its place is taken before anybody else is judged.
        """
        staying: list[Reservation] = []
        for member in self.members:
            with suppress(Problem):  # it will be raised again, and told, when the member is judged
                stored = member.require_stored(view)
                view.calendar(stored.resource).remove(stored.id)
                after = member.without_load(stored, view)
                if after is not None and after.status in BLOCKING:
                    staying.append(after)
        for after in staying:
            view.calendar(after.resource).add(occupancy(after))
