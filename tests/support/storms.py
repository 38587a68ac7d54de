"""Requests that many clients send at once: for one slot, for neighbouring slots, with one Idempotency-Key."""

from collections import Counter
from collections.abc import Sequence

from tests.support.load_client import Answer, Client
from tests.support.slot_bookings import booking


def one_slot(client: Client, room: str, callers: int) -> list[Answer]:
    """All of them ask for the same slot at the same moment."""
    return client.at_once([booking(room)] * callers)


def neighbours(client: Client, room: str, slots: int, width: int) -> list[Answer]:
    """Slots that touch but do not overlap, so many requests at a time."""
    return client.in_flow([booking(room, slot) for slot in range(slots)], width)


def same_key(client: Client, room: str, posts: int) -> list[Answer]:
    """The same request with the same key, at the same moment."""
    return client.at_once([booking(room, key=f"key-of-{room}")] * posts)


def split(answers: Sequence[Answer]) -> tuple[list[Answer], list[Answer]]:
    """First answers and replays among the 201 answers."""
    made = [answer for answer in answers if answer.status == 201]
    replays = [answer for answer in made if answer.headers.get("idempotent-replayed") == "true"]
    return [answer for answer in made if answer not in replays], replays


def alike(answers: Sequence[Answer]) -> bool:
    """Whether all say the same, byte for byte."""
    return len({(each.content, each.headers.get("location"), each.headers.get("etag")) for each in answers}) == 1


def statuses(answers: Sequence[Answer]) -> Counter[int]:
    """How many answers of each status."""
    return Counter(answer.status for answer in answers)
