"""API keys."""

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator

from app.rates import read_rate
from app.storage.documents.base import Name, StoredDocument, SubDocument
from app.storage.documents.changes import ChangeHistory


class FormerSecret(SubDocument):
    """The secret that a key had before a rotation, as a hash, which works on until an instant."""

    secret_hash: str
    until: datetime


def _checked_rate(text: str) -> str:
    read_rate(text)
    return text


class Key(StoredDocument):
    """An API key, known by its prefix; of its secrets only hashes are stored.

    `version` counts changes from 1. `last_used_at` is a whole minute, and no change.
    """

    id: Name  # a key's id is its prefix
    name: str
    secret_hash: str
    former_secrets: list[FormerSecret] | None = None
    scopes: list[str]
    customer: str | None = None
    created_at: datetime
    updated_at: datetime | None = None
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    rate_limit: Annotated[str, AfterValidator(_checked_rate)] | None = None
    last_used_at: datetime | None = None
    version: int = 1
    history: ChangeHistory

    class Settings(StoredDocument.Settings):
        name = "keys"
