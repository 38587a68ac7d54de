"""API keys."""

from datetime import datetime

from app.storage.documents.base import Name, StoredDocument


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

    class Settings(StoredDocument.Settings):
        name = "keys"
