"""The base of the intents that do several things at once: what they need is the union of what their members need."""

from abc import ABC
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from bson import ObjectId
from typing_extensions import override

from app.booking.intents import Intent, Lane, T_co, Target, View
from app.booking.outcomes import Accepted, Refused
from app.domain.ids import ServiceId
from app.errors import Problem
from app.storage.documents import Reservation
from app.storage.span import Span

T = TypeVar("T")

Reason = Refused | Problem


class MembersRefused(Exception):  # noqa: N818  # verdicts, not an error
    """Some members are refused: `members` has for each its index in the request and the reason."""

    def __init__(self, members: Sequence[tuple[int, Reason]]) -> None:
        super().__init__(f"{len(members)} members are refused")
        self.members = members


@dataclass(slots=True, kw_only=True)
class Several(Intent[T_co], ABC):
    """An intent of several reservations, each with an intent of its own."""

    members: Sequence[Intent[Reservation]]

    @property
    @override
    def writes(self) -> int:
        """Sum over the members."""
        return sum(member.writes for member in self.members)

    @property
    @override
    def size(self) -> int:
        """Sum over the members, in bytes."""
        return sum(member.size for member in self.members)

    @override
    def lanes(self) -> frozenset[Lane]:
        """Union over the members."""
        return frozenset[Lane]().union(*(member.lanes() for member in self.members))

    @override
    def guards(self) -> frozenset[Lane]:
        """Union over the members."""
        return frozenset[Lane]().union(*(member.guards() for member in self.members))

    @override
    def services(self) -> frozenset[ServiceId]:
        """Union over the members."""
        return frozenset[ServiceId]().union(*(member.services() for member in self.members))

    @override
    def targets(self) -> frozenset[Target]:
        """Union over the members."""
        return frozenset[Target]().union(*(member.targets() for member in self.members))

    @override
    def reservations(self) -> list[ObjectId]:
        """Concatenation over the members, in their order."""
        return [identity for member in self.members for identity in member.reservations()]

    @override
    def spans(self, view: View) -> list[Span]:
        """Concatenation over the members."""
        spans: list[Span] = []
        for member in self.members:
            with suppress(Problem):  # raised again, and answered, when the member is judged
                spans += member.spans(view)
        return spans


def joined(accepted: Sequence[Accepted[Reservation]], value: T) -> Accepted[T]:
    """What several accepted intents write, with one value for the caller."""
    writing = next((each for each in accepted if each.writes), accepted[0])
    return Accepted(
        value,
        proof=writing.proof,
        inserts=[row for each in accepted for row in each.inserts],
        updates=[update for each in accepted for update in each.updates],
        blocks=[block for each in accepted for block in each.blocks],
        taken=[span for each in accepted for span in each.taken],
        stamped_late=[value for each in accepted for value in each.stamped_late],
    )
