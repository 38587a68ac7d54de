"""API keys: created, listed, changed, rotated and revoked, for the routes and the commands alike."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

import structlog
from pymongo.errors import DuplicateKeyError

from app.access.schemas import KeyPatch, NewKey
from app.access.tokens import Token, hash_of, is_over, new_prefix, new_secret
from app.caller import CUSTOMER_SCOPES, SCOPES
from app.errors import Problem, invalid_field, not_found
from app.http.etags import IfMatch, stale
from app.retries import retry
from app.storage.catalogue import CatalogueStore
from app.storage.client import Store
from app.storage.documents import Customer, FormerSecret, Key, with_change
from app.storage.errors import VersionConflict
from app.storage.keys import KeyStore

FORMER_SECRETS_MAX = 5
"""The former secrets of a key that work at the same time; with a further rotation the oldest of them ends at once."""
ATTEMPTS_MAX = 20
"""How often a change is tried while others change the same key."""

_SHOWN_AS = {"secret_hash": "secret"}
_NOT_SHOWN = frozenset({"former_secrets"})

log = structlog.get_logger()

Change = Callable[[Key, datetime], Mapping[str, object]]
"""From a key and the current instant to the new values of its fields; it may raise a Problem."""

ANY_VERSION = IfMatch(None)


class IssuedKey(NamedTuple):
    """A new key or a rotated one, and its token, which is stored nowhere."""

    key: Key
    token: str


class Keys:
    """The API keys of one store.

    Args:
        store: The database.
        on_change: Called with the prefix of a key after each change of it.
    """

    def __init__(self, store: Store, on_change: Callable[[str], None] | None = None) -> None:
        self._store = store
        self._stored = KeyStore(store)
        self._on_change = on_change

    def now(self) -> datetime:
        """The instant at which keys are judged: the database's clock."""
        return self._store.clock.now()

    async def create(self, wanted: NewKey, by: str) -> IssuedKey:
        """Create a key; `by` names who does it, for its history.

        Raises:
            Problem: `invalid`, naming the field.
        """
        await self._check(wanted)

        async def insert() -> IssuedKey:
            now = self.now()
            fields = {name: value for name, value in wanted.sent_fields().items() if value is not None}
            fields["scopes"] = [scope for scope in SCOPES if scope in wanted.scopes]
            token = Token(new_prefix(), new_secret())
            history = with_change([], now, by, _names(fields))
            key = Key(
                id=token.prefix,
                secret_hash=hash_of(token.secret),
                created_at=now,
                updated_at=now,
                history=history,
                **fields,
            )
            await self._stored.insert_key(key)
            return IssuedKey(key, str(token))

        issued = await retry(insert, ATTEMPTS_MAX, on=DuplicateKeyError)
        log.info("API key created", prefix=issued.key.id, scopes=issued.key.scopes, by=by)
        return issued

    async def _check(self, wanted: NewKey) -> None:
        if wanted.expires_at is not None:
            _check_expiry(wanted.expires_at, self.now())
        if wanted.customer is None:
            return
        for scope in wanted.scopes:
            if scope not in CUSTOMER_SCOPES:
                raise invalid_field("scopes", f"A key bound to a customer cannot have the scope {scope}.")
        if not await CatalogueStore(self._store).exists(Customer, wanted.customer):
            raise invalid_field("customer", f"There is no customer {wanted.customer!r}.")

    async def read(self, prefix: str) -> Key:
        """A key, also one that is over.

        Raises:
            Problem: `not-found`.
        """
        key = await self._stored.find(prefix)
        if key is None:
            raise not_found("key", prefix)
        return key

    async def page(self, limit: int, after: str | None) -> list[Key]:
        """Up to `limit` keys by prefix, after a prefix."""
        return await self._stored.find_some(limit, after=after)

    async def all(self) -> list[Key]:
        """All keys, also those that are over, the oldest first."""
        return await self._stored.find_all()

    async def change(self, prefix: str, patch: KeyPatch, if_match: IfMatch, by: str) -> Key:
        """Merge a patch into a live key.

        Raises:
            Problem: `not-found`, `stale`, `invalid`, `forbidden-transition` where it is over.
        """

        def patched(key: Key, now: datetime) -> Mapping[str, object]:
            _check_live(key, now)
            if patch.expires_at is not None and patch.expires_at != key.expires_at:
                _check_expiry(patch.expires_at, now)
            return patch.sent_fields()

        return await self._change(prefix, patched, if_match, by)

    async def rotate(
        self, prefix: str, by: str, *, overlap_minutes: int = 0, if_match: IfMatch = ANY_VERSION
    ) -> IssuedKey:
        """Give a live key a new secret. Prefix, scopes and expiry stay.

        Without an overlap all its former secrets end within a second; with one, the last of them works on for so long,
        and those of earlier overlaps until their own ends.

        Raises:
            Problem: `not-found`, `stale`, `forbidden-transition` where it is over.
        """
        secret = new_secret()

        def rotated(key: Key, now: datetime) -> Mapping[str, object]:
            _check_live(key, now)
            former: list[FormerSecret] = []
            if overlap_minutes:
                former = [each for each in key.former_secrets or () if each.until > now]
                until = now + timedelta(minutes=overlap_minutes)
                former.append(FormerSecret(secret_hash=key.secret_hash, until=until))
            return {"secret_hash": hash_of(secret), "former_secrets": former[-FORMER_SECRETS_MAX:] or None}

        key = await self._change(prefix, rotated, if_match, by)
        return IssuedKey(key, str(Token(prefix, secret)))

    async def revoke(self, prefix: str, by: str, *, if_match: IfMatch = ANY_VERSION) -> Key:
        """Revoke a key for good, in all processes within a second; one that is revoked stays as it is.

        Raises:
            Problem: `not-found`, `stale`.
        """

        def revoked(key: Key, now: datetime) -> Mapping[str, object]:
            return {} if key.revoked_at is not None else {"revoked_at": now, "former_secrets": None}

        return await self._change(prefix, revoked, if_match, by)

    async def _change(self, prefix: str, change: Change, if_match: IfMatch, by: str) -> Key:
        """Write a change together with its line of history; nothing is written if nothing changes.

        Raises:
            Problem: `not-found`, `stale`, what `change` raises; `overloaded` where others change the key all the time.
        """

        async def attempt() -> Key:
            key = await self.read(prefix)
            version = if_match.expected(key.version)
            now = self.now()
            fields = {name: value for name, value in change(key, now).items() if getattr(key, name) != value}
            if not fields:
                return key
            history = with_change(key.history, now, by, _names(fields))
            about = {"version": key.version + 1, "updated_at": now, "history": history}
            after: Key = key.model_copy(update=fields | about)
            if await self._stored.update_key(after, key.version):
                log.info("API key changed", prefix=prefix, changed=history[-1].changed, by=by)
                return after
            if version is not None:
                raise stale((await self.read(prefix)).version)
            raise VersionConflict

        try:
            return await retry(attempt, ATTEMPTS_MAX, on=VersionConflict)
        except VersionConflict:
            raise Problem("overloaded", "Too many others are changing this key; nothing was done.") from None
        finally:
            if self._on_change is not None:
                self._on_change(prefix)


def _names(fields: Mapping[str, object]) -> list[str]:
    """The fields of a key as its history names them, in their order."""
    known = {name: _SHOWN_AS.get(name) or about.alias or name for name, about in Key.model_fields.items()}
    return [shown for name, shown in known.items() if name in fields and name not in _NOT_SHOWN]


def _check_expiry(expires_at: datetime, now: datetime) -> None:
    if expires_at <= now:
        raise invalid_field("expiresAt", "That is past; a key is ended at once by revoking it.")


def _check_live(key: Key, now: datetime) -> None:
    if is_over(key, now):
        over = "was revoked" if key.revoked_at is not None else "has expired"
        raise Problem("forbidden-transition", f"The key {key.id} {over} and never works again; create another one.")
