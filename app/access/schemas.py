"""API keys on the wire."""

from datetime import datetime
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field

from app.access.tokens import is_over
from app.caller import SCOPES, Scope
from app.http.bounds import Bounded
from app.http.models import Answer, Body, CatalogueId, Instant, NeverNull, ShownHistory
from app.rates import read_rate
from app.storage.documents import Key

OVERLAP_MINUTES_MAX = 10_080
"""A week."""


def _each_once(scopes: list[Scope]) -> list[Scope]:
    if len(set(scopes)) != len(scopes):
        raise ValueError("name each scope once.")
    return scopes


KeyName = Annotated[str, Field(min_length=1, max_length=100)]
Scopes = Annotated[
    list[Scope],
    Bounded(len(SCOPES), least=1),
    AfterValidator(_each_once),
    Field(description="What it may do; a key that is bound to a customer has only `reservations:read` and `:write`."),
]
Customer = Annotated[
    CatalogueId,
    Field(description="The customer whose reservations alone it may read and write; all if left out."),
]


def _checked_rate(text: str) -> str:
    read_rate(text)
    return text


OwnRate = Annotated[str, Field(max_length=40), AfterValidator(_checked_rate)]
OverlapMinutes = Annotated[
    int,
    Field(ge=0, le=OVERLAP_MINUTES_MAX, description="For how long the old secret works on; 0 if left out."),
]


class KeyPatch(Body):
    """A merge patch of a key: what is left out stays, null unsets. Scopes and customer never change."""

    name: Annotated[KeyName | None, NeverNull()] = None
    """What people call it."""
    expires_at: Instant | None = None
    """When it expires, in the future; never if unset."""
    rate_limit: OwnRate | None = None
    """Its own limit of requests, like `100/minute`, or `0` for none; that of the settings if unset."""


class NewKey(KeyPatch):
    """An API key."""

    name: KeyName
    """What people call it."""
    scopes: Scopes
    customer: Customer | None = None


class KeyRotation(Body):
    """How the old secret ends."""

    overlap_minutes: OverlapMinutes | None = None


KeyState = Literal["live", "expired", "revoked"]


class KeyAnswer(Answer):
    """An API key, without its secret, which is stored nowhere."""

    prefix: str
    """How it is named: the part of the key after `rsv_`."""
    name: str
    """What people call it."""
    state: KeyState
    """Whether it is accepted: `live`, `expired` or `revoked`."""
    scopes: list[str]
    """What it may do."""
    customer: str | None = None
    """The customer whose reservations alone it may read and write."""
    version: int
    """From 1, one more with each change; its `ETag`. A use is no change."""
    created_at: Instant
    """When it was made."""
    updated_at: Instant | None = None
    """When it was last changed."""
    expires_at: Instant | None = None
    """When it expires; never if there is none."""
    rate_limit: str | None = None
    """Its own limit of requests; that of the settings if there is none."""
    revoked_at: Instant | None = None
    """When it was revoked."""
    old_secret_until: Instant | None = None
    """Until when a secret from before a rotation works on, if one does."""
    last_used_at: Instant | None = None
    """The minute in which it was last used, as far as it is written yet; a use is written within some seconds."""
    history: ShownHistory = None
    """Its last 50 changes, the oldest first."""

    @classmethod
    def of(cls, key: Key, now: datetime, **more: str) -> Self:
        """The answer about a key as it is at an instant; `more` are fields of a subclass."""
        ends = [each.until for each in key.former_secrets or () if each.until > now and not is_over(key, now)]
        fields = key.model_dump(include={*cls.model_fields})
        return cls.model_validate(
            fields
            | {"prefix": key.id, "state": _state_of(key, now)}
            | {"old_secret_until": max(ends, default=None), **more}
        )


class IssuedKeyAnswer(KeyAnswer):
    """A key with its secret, which is shown this once."""

    secret: str
    """The whole key, as it is sent: `Authorization: Bearer rsv_…`."""


def _state_of(key: Key, now: datetime) -> KeyState:
    if key.revoked_at is not None:
        return "revoked"
    return "expired" if is_over(key, now) else "live"
