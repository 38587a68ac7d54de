"""Floor 3: the write path. The only code that writes a status, a time, a resource or units of a reservation."""

from app.booking.book import Book
from app.booking.desk import Booking
from app.booking.group import BookGroup, MembersRefused
from app.booking.imported import BookRow, ChangeRow, import_key
from app.booking.intents import DEADLINE_SECONDS, Refused, Stranded, Token, overloaded
from app.booking.permission import TOOK_PLACE, check_served
from app.booking.replay import Replayed, key_hash, request_hash

__all__ = [
    "DEADLINE_SECONDS",
    "TOOK_PLACE",
    "Book",
    "BookGroup",
    "BookRow",
    "Booking",
    "ChangeRow",
    "MembersRefused",
    "Refused",
    "Replayed",
    "Stranded",
    "Token",
    "check_served",
    "import_key",
    "key_hash",
    "overloaded",
    "request_hash",
]
