"""The secrets of webhooks, sealed as they are stored: by `RESERVA_SECRETS_KEY`, where it is set.

A copy of the database then holds nothing that signs. Without a key they are stored as they are.
"""

from base64 import b64decode, b64encode, urlsafe_b64encode
from collections.abc import Sequence
from datetime import datetime
from secrets import token_bytes

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from app.settings import WEBHOOK_PREFIX
from app.storage.documents import FormerWebhookSecret, Webhook

SECRET_BYTES = 32
_SEALED = "sealed:"


class SecretUnreadable(Exception):  # noqa: N818 -- named for what is the matter
    """A secret was sealed by a key that this process does not have."""


class SecretDamaged(SecretUnreadable):
    """What is stored is no secret: another program has changed it, and no key helps."""

    def __init__(self) -> None:
        super().__init__("what is stored is no secret; another program has changed it")


def new_secret() -> str:
    """A secret of Standard Webhooks."""
    return WEBHOOK_PREFIX + b64encode(token_bytes(SECRET_BYTES)).decode()


def is_sealed(stored: str) -> bool:
    """Whether a stored secret is of no use without a key."""
    return stored.startswith(_SEALED)


def live_former_secrets(webhook: Webhook, now: datetime) -> list[FormerWebhookSecret]:
    """The secrets of a webhook from before its rotations that sign as well at an instant, the oldest first."""
    return [each for each in webhook.former_secrets or () if each.until > now]


class SecretBox:
    """Seals secrets and opens them.

    Args:
        keys: The keys, 32 bytes each: the first one seals, each of them opens. Empty: secrets stay as they are.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = MultiFernet([Fernet(urlsafe_b64encode(key)) for key in keys]) if keys else None

    def seal(self, secret: str) -> str:
        """A secret as it is stored."""
        return secret if self._keys is None else _SEALED + self._keys.encrypt(secret.encode()).decode()

    def open(self, stored: str) -> bytes:
        """The key in a stored secret, which signs.

        Raises:
            SecretUnreadable: none of the keys opens it, or there is none in it.
        """
        try:
            key = b64decode(self._unseal(stored).removeprefix(WEBHOOK_PREFIX), validate=True)
        except ValueError:
            raise SecretDamaged from None
        if not key:
            raise SecretDamaged
        return key

    def reseal(self, stored: str) -> str:
        """A stored secret as the first key seals it; as it was where none of the keys opens it."""
        try:
            return self.seal(self._unseal(stored))
        except SecretUnreadable:
            return stored

    def _unseal(self, stored: str) -> str:
        if not is_sealed(stored):
            return stored
        if self._keys is None:
            raise SecretUnreadable("its secret is sealed, and RESERVA_SECRETS_KEY is not set")
        try:
            return self._keys.decrypt(stored.removeprefix(_SEALED)).decode()
        except (InvalidToken, ValueError):  # the latter for what is not even text of a token
            raise SecretUnreadable("its secret was sealed by another RESERVA_SECRETS_KEY") from None
