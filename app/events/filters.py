"""Which events a reader wants, or a webhook."""

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol, Self


class Filtered(Protocol):
    """What filters look at."""

    @property
    @abstractmethod
    def type(self) -> str:
        """What has happened."""

    @property
    @abstractmethod
    def resource(self) -> str | None:
        """The resource that it is about."""

    @property
    @abstractmethod
    def former_resource(self) -> str | None:
        """The resource on which a moved reservation was."""


@dataclass(frozen=True, slots=True)
class EventFilters:
    """The wanted types and resources; none of a kind: all."""

    types: frozenset[str] = frozenset()
    resources: frozenset[str] = frozenset()

    @classmethod
    def of(cls, types: Iterable[str] | None, resources: Iterable[str] | None) -> Self:
        """The filters of a request, or of a webhook."""
        return cls(frozenset(types or ()), frozenset(resources or ()))

    def take(self, event: Filtered) -> bool:
        """Whether an event is wanted; one of a move by either of its resources."""
        if self.types and event.type not in self.types:
            return False
        return not self.resources or not self.resources.isdisjoint({event.resource, event.former_resource})
