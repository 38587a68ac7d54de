"""Floor 4: the write path. The only code that writes a status, a time, a resource or units of a reservation.

`service` is the public interface. Its intents (`intents`; `book`, `change`, `confirm_extend`, `release`, `reopen`,
`group`, `series`, `move`, `edit`, `import_rows`) say what they must read and judge themselves. `committer` queues them
(`queue`) and puts them into batches (`batch`); a driver runs each batch as one `transaction`, which reads a `snapshot`,
judges, `writes` and commits (`commit`). `expiry` closes what has lapsed or ended; `pruning` removes old answers,
`erasure` clears the texts of a customer.
"""

from app.booking.book import Book
from app.booking.drivers import driver_for
from app.booking.edit import EditResource, Plan, PlanOutdated
from app.booking.erasure import erase_texts, erase_texts_of
from app.booking.expiry import complete_ended, expire_lapsed
from app.booking.group import BookGroup
from app.booking.idempotency import AnyToken, Replay, Token, key_hash, request_hash
from app.booking.import_rows import ACTOR_IMPORT, BookRow, ChangeRow, import_key, import_key_by_id
from app.booking.intents import DEADLINE_SECONDS
from app.booking.meter import Meter
from app.booking.moments import LocalField, LocalTime, Moment, check_length
from app.booking.move import WantedMove
from app.booking.outcomes import BookedSeries, Refused, Stranded, overloaded
from app.booking.permission import ATTENDANCE_STATUSES, check_service_given
from app.booking.pruning import prune_answers
from app.booking.series import SERIES_VERDICTS_MAX, BookSeries
from app.booking.service import BookingService
from app.booking.several import MembersRefused
from app.booking.snapshot import missing_guard
from app.booking.stranding_survey import Stretch, Survey, read_blocking_rows, survey_of
from app.booking.timestamps import FOLLOWER_LAG_SECONDS

__all__ = [
    "ACTOR_IMPORT",
    "ATTENDANCE_STATUSES",
    "DEADLINE_SECONDS",
    "FOLLOWER_LAG_SECONDS",
    "SERIES_VERDICTS_MAX",
    "AnyToken",
    "Book",
    "BookGroup",
    "BookRow",
    "BookSeries",
    "BookedSeries",
    "BookingService",
    "ChangeRow",
    "EditResource",
    "LocalField",
    "LocalTime",
    "MembersRefused",
    "Meter",
    "Moment",
    "Plan",
    "PlanOutdated",
    "Refused",
    "Replay",
    "Stranded",
    "Stretch",
    "Survey",
    "Token",
    "WantedMove",
    "check_length",
    "check_service_given",
    "complete_ended",
    "driver_for",
    "erase_texts",
    "erase_texts_of",
    "expire_lapsed",
    "import_key",
    "import_key_by_id",
    "key_hash",
    "missing_guard",
    "overloaded",
    "prune_answers",
    "read_blocking_rows",
    "request_hash",
    "survey_of",
]
