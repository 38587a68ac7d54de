"""API keys."""

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator

from app.rates import read_rate
from app.storage.documents.base import Name, StoredDocument


def _checked_rate(text: str) -> str:
    read_rate(text)
    return text


class Key(StoredDocument):
    """An API key, known by its prefix; of its secret only a hash is stored."""

    id: Name  # a key's id is its prefix
    name: str
    secret_hash: str
    scopes: list[str]
    customer: str | None = None
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    rate_limit: Annotated[str, AfterValidator(_checked_rate)] | None = None

    class Settings(StoredDocument.Settings):
        name = "keys"
