"""API keys: created, listed, rotated and revoked. `rsv_<prefix>_<secret>`; only a hash of the secret is stored.

The secret has 256 random bits, so a plain SHA-256 is all it needs: there is nothing to guess from.
"""

import hashlib
import re
import secrets
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import NamedTuple

from typing_extensions import override

from app.caller import CUSTOMER_SCOPES, SCOPES
from app.errors import invalid_field, not_found
from app.rates import read_rate
from app.storage.catalogue import CatalogueStore
from app.storage.client import Store
from app.storage.documents import Customer, Key
from app.storage.keys import KeyStore

MAX_NAME = 100
MAX_DAYS = 36_500
_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"  # no l, o, 0, 1: people read a prefix aloud
_PREFIX_LENGTH = 8
_TOKEN = re.compile(rf"rsv_([{_ALPHABET}]{{{_PREFIX_LENGTH}}})_([A-Za-z0-9_-]{{20,100}})")


class Token(NamedTuple):
    """A key as a client sends it, taken apart."""

    prefix: str
    secret: str

    @classmethod
    def read(cls, text: str) -> "Token | None":
        """The parts of `rsv_<prefix>_<secret>`; None if it is written otherwise."""
        match = _TOKEN.fullmatch(text)
        return cls(match[1], match[2]) if match else None

    @override
    def __str__(self) -> str:
        """The key as it is shown, once."""
        return f"rsv_{self.prefix}_{self.secret}"


class IssuedKey(NamedTuple):
    """A new key or a rotated one, and its token, which is stored nowhere."""

    key: Key
    token: str


def hash_of(secret: str) -> str:
    """The hash of a secret, as it is stored."""
    return hashlib.sha256(secret.encode()).hexdigest()


async def create_key(
    store: Store,
    name: str,
    scopes: Collection[str],
    *,
    customer: str | None = None,
    expires_days: int | None = None,
    rate_limit: str | None = None,
) -> IssuedKey:
    """Create a key.

    Args:
        store: The database.
        name: What people call it, 1 to 100 characters.
        scopes: At least one of `SCOPES`.
        customer: The customer whose reservations alone it may read and write; None: those of all.
        expires_days: The days after which it expires; None: never.
        rate_limit: How many requests it may send, like `100/minute`; `0`: any number. None: as the settings say.

    Raises:
        Problem: `invalid`, naming the argument.
    """
    if not 1 <= len(name) <= MAX_NAME:
        raise invalid_field("name", f"A key's name has 1 to {MAX_NAME} characters.")
    if expires_days is not None and not 1 <= expires_days <= MAX_DAYS:
        raise invalid_field("expiresDays", f"A key expires after 1 to {MAX_DAYS:,} days.")
    _check_scopes(scopes, customer)
    _check_rate_limit(rate_limit)
    if customer is not None and not await CatalogueStore(store).exists(Customer, customer):
        raise invalid_field("customer", f"There is no customer {customer!r}.")
    now = store.clock.now()
    token = Token("".join(secrets.choice(_ALPHABET) for _ in range(_PREFIX_LENGTH)), secrets.token_urlsafe(32))
    key = Key(
        id=token.prefix,
        name=name,
        secret_hash=hash_of(token.secret),
        scopes=[scope for scope in SCOPES if scope in scopes],
        customer=customer,
        created_at=now,
        expires_at=None if expires_days is None else now + timedelta(days=expires_days),
        rate_limit=rate_limit,
    )
    await KeyStore(store).insert_key(key)
    return IssuedKey(key, str(token))


def _check_scopes(scopes: Collection[str], customer: str | None) -> None:
    if not scopes:
        raise invalid_field("scopes", f"A key needs at least one scope of {', '.join(SCOPES)}.")
    for scope in scopes:
        if scope not in SCOPES:
            raise invalid_field("scopes", f"There is no scope {scope!r}; there are {', '.join(SCOPES)}.")
        if customer is not None and scope not in CUSTOMER_SCOPES:
            raise invalid_field("scopes", f"A key bound to a customer cannot have the scope {scope}.")


def _check_rate_limit(rate_limit: str | None) -> None:
    try:
        read_rate("0" if rate_limit is None else rate_limit)
    except ValueError as error:
        raise invalid_field("rateLimit", f"The rate limit {error}") from None


async def list_keys(store: Store) -> list[Key]:
    """All keys, also those that are over, the oldest first."""
    return await KeyStore(store).find_all()


async def revoke_key(store: Store, prefix: str) -> Key:
    """Revoke a key for good, in all processes within a second; one that is revoked stays as it is.

    Raises:
        Problem: `not-found`.
    """
    key = await KeyStore(store).revoke_key(prefix, store.clock.now())
    if key is None:
        raise not_found("key", prefix)
    return key


async def rotate_key(store: Store, prefix: str) -> IssuedKey:
    """Give a key a new secret; the old one ends within a second. Id, scopes and expiry stay.

    Raises:
        Problem: `not-found`, also for a key that is over.
    """
    secret = secrets.token_urlsafe(32)
    key = await KeyStore(store).replace_secret(prefix, hash_of(secret), store.clock.now())
    if key is None:
        raise not_found("live key", prefix)
    return IssuedKey(key, str(Token(prefix, secret)))


def is_over(key: Key, now: datetime) -> bool:
    """Whether a key was revoked or has expired."""
    return key.revoked_at is not None or (key.expires_at is not None and key.expires_at <= now)
