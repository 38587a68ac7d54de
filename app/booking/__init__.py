"""Floor 4: the write path. The only code that writes a status, a time, a resource or units of a reservation."""

from app.booking.book import Book
from app.booking.group import BookGroup, MembersRefused
from app.booking.idempotency import Replay, key_hash, request_hash
from app.booking.import_rows import BookRow, ChangeRow, import_key
from app.booking.intents import DEADLINE_SECONDS, Refused, Stranded, Token, overloaded
from app.booking.permission import TOOK_PLACE, check_served
from app.booking.service import BookingService

__all__ = [
    "DEADLINE_SECONDS",
    "TOOK_PLACE",
    "Book",
    "BookGroup",
    "BookRow",
    "BookingService",
    "ChangeRow",
    "MembersRefused",
    "Refused",
    "Replay",
    "Stranded",
    "Token",
    "check_served",
    "import_key",
    "key_hash",
    "overloaded",
    "request_hash",
]
