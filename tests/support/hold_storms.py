"""Holds that end under a storm of bookers, and what became of them."""

import random
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from pymongo.database import Database

from tests.support.load_client import Answer, Call, Client
from tests.support.slot_bookings import BOOKINGS, booking, require

HOLD_SECONDS = 10
EARLY, LATE = 0.03, 0.09
"""Bookers come from so many seconds before the end of the hold until so many after it: the last ones find it over."""
CONFIRM_WITHIN = 0.03


class Hold(NamedTuple):
    """A hold on a room: its id, and its end as `time.time()` would tell it here."""

    room: str
    identity: str
    ends: float


def ahead(database: Database[dict[str, Any]]) -> float:
    """By how many seconds the server's clock is ahead of ours."""
    before = time.time()
    server: datetime = database.client.admin.command("hello")["localTime"]
    return server.timestamp() - (before + time.time()) / 2


def hold(client: Client, room: str, clock_ahead: float) -> Hold:
    """Hold the first slot of a room."""
    answer = client.post(booking(room, expiresInSeconds=HOLD_SECONDS))
    require(201, [answer])
    made = answer.json()
    return Hold(room, made["id"], datetime.fromisoformat(made["expiresAt"]).timestamp() - clock_ahead)


def storm(client: Client, hold: Hold, bookers: int) -> tuple[Answer, list[Answer]]:
    """Book around the end of a hold, and confirm it near that end; the confirmation's answer, then the bookers'."""
    confirm = random.uniform(-CONFIRM_WITHIN, CONFIRM_WITHIN)
    moments = [-EARLY + (EARLY + LATE) * number / (bookers - 1) for number in range(bookers)]
    moments[-1] = LATE
    sent = sorted([(moment, booking(hold.room)) for moment in moments] + [(confirm, _confirm(hold))], key=_moment)
    answers = client.at_once([call for _, call in sent], [hold.ends + moment for moment, _ in sent])
    place = next(index for index, (_, call) in enumerate(sent) if call.path != BOOKINGS)
    return answers[place], answers[:place] + answers[place + 1 :]


def _moment(sent: tuple[float, Call]) -> float:
    return sent[0]


def _confirm(hold: Hold) -> Call:
    return Call(f"{BOOKINGS}/{hold.identity}/confirm")


def winners(confirmed: Answer, bookers: Sequence[Answer]) -> tuple[int, int]:
    """How many won by confirming, and how many by booking."""
    return int(confirmed.status == 200), sum(answer.status == 201 for answer in bookers)
