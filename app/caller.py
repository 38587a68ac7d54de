"""Who is asking: an API key's scopes, and the customer that it may be bound to."""

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from app.errors import Problem

Scope: TypeAlias = Literal[
    "reservations:read",
    "reservations:write",
    "reservations:admin",
    "catalogue:write",
    "findings:review",
    "events:read",
    "metrics:read",
    "admin",
]

SCOPES: tuple[Scope, ...] = get_args(Scope)
METRICS_SCOPE: Scope = "metrics:read"
"""What a key for monitoring has: it reads figures, and alone it does not open what any other key may read."""
CUSTOMER_SCOPES: frozenset[str] = frozenset({"reservations:read", "reservations:write"})
"""All that a key bound to a customer can have."""


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated key.

    Args:
        key_id: The key's id; it survives a rotation, so what was asked under it stays its own.
        scopes: What it was given.
        customer: The only customer whose reservations it sees, books and changes; None: those of all customers.
        rate_limit: How many requests it may send, as `app.rates` reads it; None: as many as keys may in general.
    """

    key_id: str
    scopes: frozenset[str]
    customer: str | None = None
    rate_limit: str | None = None

    @property
    def prefix(self) -> str:
        """How people and histories name the key."""
        return self.key_id

    def may(self, scope: Scope) -> bool:
        """Whether it has the scope; `admin` contains all, no other contains another."""
        return scope in self.scopes or "admin" in self.scopes

    def require(self, scope: Scope) -> None:
        """Let pass who has the scope.

        Raises:
            Problem: `forbidden`, naming the scope.
        """
        if not self.may(scope):
            raise Problem("forbidden", f"The API key {self.prefix} lacks the scope {scope}.")

    def require_any(self) -> None:
        """Let pass who has any scope but that for monitoring.

        Raises:
            Problem: `forbidden`.
        """
        if self.scopes == {METRICS_SCOPE}:
            raise Problem("forbidden", f"The API key {self.prefix} reads /metrics alone.")

    def sees(self, customer: str | None) -> bool:
        """Whether the caller may know of an object of this customer; None: of an object without a customer."""
        return self.customer is None or self.customer == customer
