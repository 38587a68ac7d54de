"""Tokens of API keys, `rsv_<prefix>_<secret>`, and when they are accepted. Only hashes of secrets are stored.

A secret has 256 random bits, so a plain SHA-256 is all it needs: there is nothing to guess from.
"""

import hashlib
import hmac
import re
import secrets
from datetime import datetime
from typing import NamedTuple

from typing_extensions import override

from app.storage.documents import Key

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


def new_prefix() -> str:
    """A random prefix."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(_PREFIX_LENGTH))


def new_secret() -> str:
    """A random secret."""
    return secrets.token_urlsafe(32)


def hash_of(secret: str) -> str:
    """The hash of a secret, as it is stored."""
    return hashlib.sha256(secret.encode()).hexdigest()


def is_over(key: Key, now: datetime) -> bool:
    """Whether a key was revoked or has expired."""
    return key.revoked_at is not None or (key.expires_at is not None and key.expires_at <= now)


def accepts(key: Key, secret: str, now: datetime) -> bool:
    """Whether a key is live and this is its secret, or a former one during its overlap; compared in constant time."""
    return accepts_hash(key, hash_of(secret), now)


def accepts_hash(key: Key, digest: str, now: datetime) -> bool:
    """The same, given the hash of the secret."""
    former = [each.secret_hash for each in key.former_secrets or () if each.until > now]
    known = [hmac.compare_digest(digest, each) for each in (key.secret_hash, *former)]
    return any(known) and not is_over(key, now)
