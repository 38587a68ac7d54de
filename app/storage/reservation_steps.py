"""The steps on reservations, and on the answers stored under Idempotency-Keys, in a transaction of the write path."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from bson import ObjectId

from app.storage.bson_types import BsonDocument, Filter
from app.storage.documents import Group, IdempotencyRecord, Reservation, Series, StoredAnswer
from app.storage.reservation_updates import STAMP
from app.storage.reservations import RESERVATIONS
from app.storage.steps import Step, by_ids, find, insert

ANSWERS: str = IdempotencyRecord.Settings.name


def insert_reservations(reservations: Sequence[Reservation]) -> Step:
    """Insert new reservations."""
    return insert("reservations.insert", RESERVATIONS, [each.to_mongo() for each in reservations])


def stamp_reservations(ids: Collection[object]) -> Step:
    """Stamp reservations anew, by the database's clock."""
    change = {"$currentDate": STAMP}
    return Step("reservations.stamp", RESERVATIONS, "update_many", (by_ids(ids), change))


def read_stamps(ids: Collection[object]) -> Step:
    """Read when reservations were changed last."""
    return find("reservations.stamps", RESERVATIONS, by_ids(ids), "updatedAt")


def read_histories(ids: Collection[object]) -> Step:
    """Read the histories of reservations."""
    return find("occupants.histories", RESERVATIONS, by_ids(ids), "history")


def lapsed_hold(identity: object, version: int) -> Filter:
    """The filter of a hold at a version, as long as it is not marked as expired."""
    return {"_id": identity, "version": version, "status": "pending"}


def proof_of_change(identity: object, operation: object) -> Filter:
    """The filter that finds a reservation only if this change of it was written."""
    return {"_id": identity, "history.operation": operation}


def read_answers_of_reservations(keys: Collection[str]) -> Step:
    """Read the answers that are stored in the reservations which requests with these keys made."""
    query = {"idempotencyKey": {"$in": [*keys]}}
    return find("replays.read", RESERVATIONS, query, "idempotencyKey", "idempotency")


def answers_in(rows: Iterable[BsonDocument]) -> dict[str, object]:
    """The stored answers of the rows that `read_answers_of_reservations` reads, by key."""
    return {row["idempotencyKey"]: row["idempotency"] for row in rows if "idempotency" in row}


def read_answer_records(keys: Collection[str]) -> Step:
    """Read the answers that are stored in documents of their own."""
    return find("replays.read", ANSWERS, by_ids(keys))


def group_record(group: ObjectId, members: Sequence[Reservation]) -> tuple[str, BsonDocument]:
    """The collection and the document of a new group."""
    return Group.Settings.name, {"_id": group, "reservations": [each.id for each in members]}


def series_record(series: Series) -> tuple[str, BsonDocument]:
    """The collection and the document of a new series."""
    return Series.Settings.name, series.to_mongo()


def answer_record(
    key: str, answer: StoredAnswer, at: datetime, reservations: Sequence[Reservation]
) -> tuple[str, BsonDocument]:
    """The collection and the document of a new answer about several reservations, given at an instant."""
    about: BsonDocument = {"_id": key, "at": at, "reservations": [each.id for each in reservations]}
    return ANSWERS, about | answer.model_dump(by_alias=True)
