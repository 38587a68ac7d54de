"""Intents: the operations of the write path as data; and the view that a transaction gives them."""

from abc import ABC, abstractmethod
from collections.abc import Hashable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Generic, NewType, Protocol, TypeAlias, TypeVar

from bson import ObjectId

from app.booking.idempotency import Token
from app.booking.outcomes import Accepted
from app.domain.ids import ResourceId, ServiceId
from app.domain.instants import Millis
from app.domain.load import Calendar
from app.domain.rules import ResourceRules, ServiceRules
from app.errors import invalid_field
from app.storage.bson_types import BsonDocument
from app.storage.span import Span

T_co = TypeVar("T_co", covariant=True)

DEADLINE_SECONDS = 3.0
TYPICAL_BYTES = 2_048

Lane = NewType("Lane", str)
"""The id of a guard, or `key:` and the hash of an Idempotency-Key; two running batches of a process never share one.

Intents that have a lane in common run one after the other or in one batch, in their order of arrival.
"""

Target: TypeAlias = tuple[str, Hashable]
"""A document that an intent changes: (collection, id), or (collection.field, value) where a unique field names it."""


def guard_lanes(*guards: str) -> frozenset[Lane]:
    """The lanes of guards, by their ids."""
    return frozenset(map(Lane, guards))


class View(Protocol):
    """The view of a transaction: one snapshot, with the changes of earlier intents of the batch."""

    @abstractmethod
    def resource_rules(self, resource: ResourceId) -> ResourceRules | None:
        """The rules of a resource; None if there is no such resource."""

    @abstractmethod
    def replace(self, rules: ResourceRules) -> None:
        """Show these rules of their resource to the intents that follow in the transaction."""

    @abstractmethod
    def undoing(self, *failures: type[Exception]) -> AbstractContextManager[None]:
        """Take back what the block enters into calendars if one of these failures leaves it."""

    @abstractmethod
    def service_rules(self, service: ServiceId) -> ServiceRules | None:
        """The rules of a service; None if there is no such service."""

    @abstractmethod
    def stored_service_rules(self, service: ServiceId) -> ServiceRules | None:
        """The rules of a service for what adds no load: also where its guard is missing, so that none book by it."""

    @abstractmethod
    def calendar(self, resource: ResourceId) -> Calendar:
        """The occupants of a resource in the spans that the batch's intents asked for."""

    @abstractmethod
    def now(self, resource: ResourceId) -> Millis:
        """The database's clock, as the resource's guard has it in this transaction."""

    @abstractmethod
    def seq(self, resource: ResourceId) -> int:
        """How many transactions have changed the resource's guard, this one included."""

    @abstractmethod
    def target(self, collection: str, identity: Hashable) -> BsonDocument | None:
        """A document that an intent named as its target; of a resource only its version."""


def rules_for(view: View, resource: ResourceId, service: ServiceId | None) -> tuple[ResourceRules, ServiceRules | None]:
    """The rules by which a reservation is judged.

    Raises:
        Problem: `invalid`, for a resource or a service that is not there.
    """
    resource_rules = view.resource_rules(resource)
    if resource_rules is None:
        raise invalid_field("resource", f"There is no resource {resource!r}.")
    service_rules = view.service_rules(service) if service else None
    if service and service_rules is None:
        raise invalid_field("service", f"There is no service {service!r}.")
    return resource_rules, service_rules


@dataclass(slots=True, kw_only=True)
class Intent(ABC, Generic[T_co]):
    """One change that a caller wants, with the value of type T that the caller gets of it.

    An intent is the same over all its attempts: `operation` is its id, `by` the actor that the history names. A
    subclass declares the guards that it needs (`lanes`), the documents that it changes (`targets`), the occupants that
    it must see (`spans`) and how it is decided with all that in view (`judge`).
    """

    by: str
    operation: ObjectId = field(default_factory=ObjectId)
    token: Token[T_co] | None = None
    deadline_seconds: float = DEADLINE_SECONDS

    @property
    def writes(self) -> int:
        """How many documents the intent writes at most, guards apart."""
        return 1

    @property
    def size(self) -> int:
        """About how many bytes the intent writes at most."""
        return TYPICAL_BYTES

    @abstractmethod
    def lanes(self) -> frozenset[Lane]:
        """The guards that the intent may change."""

    def guards(self) -> frozenset[Lane]:
        """The guards that are changed before the reads; of the other lanes only the guard of a chosen resource is."""
        return self.lanes()

    def services(self) -> frozenset[ServiceId]:
        """The services whose rules the intent needs."""
        return frozenset()

    @property
    def lengthy(self) -> bool:
        """Whether the intent may have so many occupants to read that it shares no batch; see `LENGTHY_FROM`."""
        return False

    @property
    def question(self) -> Hashable | None:
        """What decides, together with the view, whether the rules refuse the intent; None: it is judged alone.

        Of two intents with the same question, and nothing accepted between them, the rules refuse both or neither, for
        the same reasons.
        """
        return None

    def targets(self) -> frozenset[Target]:
        """The documents that the intent reads and changes; a batch has at most one intent for each."""
        return frozenset()

    def reservations(self) -> list[ObjectId]:
        """The ids of the reservations that the intent makes or changes, for an `outcome-unknown`."""
        return []

    @abstractmethod
    def spans(self, view: View) -> list[Span]:
        """The spans whose occupants the intent must see; rules and targets are in view."""

    @abstractmethod
    def judge(self, view: View) -> Accepted[T_co]:
        """Decide; an intent that is refused has changed nothing in the view.

        Raises:
            Problem: the intent cannot be done.
            Refused: with the verdict of the rules.
        """


AnyIntent: TypeAlias = Intent[object]
"""An intent of a batch, whatever its value."""
