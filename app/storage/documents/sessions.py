"""Sessions of the console, and the links that open one; both are known by the hash of a secret token."""

from datetime import datetime
from typing import ClassVar

from pymongo import ASCENDING, IndexModel

from app.storage.documents.base import Name, StoredDocument


class Session(StoredDocument):
    """A browser that is signed in by a key; `secret_hash` is the secret of the key that it was opened with.

    It ends with that secret, at `expires_at`, or when it is removed.
    """

    id: Name  # the hash of the token in the browser's cookie
    key: str
    secret_hash: str
    csrf_token: str
    expires_at: datetime

    class Settings(StoredDocument.Settings):
        name = "sessions"
        indexes: ClassVar = [IndexModel([("expiresAt", ASCENDING)], name="session_expiry")]


class SignInLink(StoredDocument):
    """A link that opens one session of a key, once, until `expires_at`."""

    id: Name  # the hash of the token in the link
    key: str
    secret_hash: str
    expires_at: datetime

    class Settings(StoredDocument.Settings):
        name = "signInLinks"
        indexes: ClassVar = [IndexModel([("expiresAt", ASCENDING)], name="sign_in_link_expiry")]
