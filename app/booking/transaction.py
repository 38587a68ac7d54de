"""One batch of intents as one transaction: guards, reads, verdicts in order, writes, commit.

The body is a generator of steps (see `app.storage.steps`): it awaits nothing, so nothing can cancel it half-way. It
returns an outcome for each intent, or raises the error that prevented its commit.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias

from bson import ObjectId
from pymongo.errors import ConnectionFailure, PyMongoError

from app.booking.existing import ReservationMoved
from app.booking.group import MembersRefused
from app.booking.idempotency import Replay, read_answers, replay
from app.booking.intents import AnyIntent, Lane
from app.booking.outcomes import Accepted, Refused, Stranded, Update, overloaded
from app.booking.snapshot import BUMP, ClockSkew, Snapshot
from app.booking.timestamps import FRESH_SECONDS, Age, StaleTimestamp, restamp
from app.domain.instants import Millis, from_millis, to_millis
from app.errors import OutcomeUnknown, Problem
from app.storage.documents import Reservation, StoredAnswer
from app.storage.reach import Reach
from app.storage.reservation_updates import HistoryLine, reservation_update
from app.storage.rule_cache import RuleCache
from app.storage.span import Span
from app.storage.steps import ABORT, BEGIN, COMMIT, KILL, Step, Steps, find, insert, update

Outcome: TypeAlias = Accepted[Any] | Replay | Problem | Refused | MembersRefused | Stranded | ReservationMoved


class WriteConflict(Exception):  # noqa: N818  # expected of the second of two writers
    """Nothing was written and the batch can run again, most often because another transaction changed a guard first.

    `problem` is the answer of its intents if their time is over.
    """

    def __init__(self, problem: Problem | None = None) -> None:
        super().__init__("write conflict")
        self.problem = problem or overloaded("Too many others wanted the same resource; nothing was done.")


@dataclass(slots=True)
class Batch:
    """Intents that share a transaction, in order of arrival; no two of them change the same document.

    Args:
        intents: The intents.
        rules: The process's cache of rules.
        branches_per_find: The branches of a read of occupants, at most.
        clock: The database's clock as this process knows it.
        owner: The committer's id, by which it knows its own priority requests.
        atomic: Whether it is a transaction; else it has one intent, whose writes happen one after the other.
        yield_requests: Set by the attempt: the guards on which another process requests priority, with the seconds
            for which it does.
        age: Counts from before the batch's first stamp.
        written_ids: Set by the attempt: the reservations that bear a stamp.
        sent: Something was sent, or is about to be, that takes effect whether or not its answer arrives.
        abandoned: The batch must not send anything more.
    """

    intents: Sequence[AnyIntent]
    rules: RuleCache
    branches_per_find: int
    clock: Millis
    owner: ObjectId
    atomic: bool = True
    yield_requests: dict[Lane, float] = field(default_factory=dict)
    age: Age = field(default_factory=Age)
    written_ids: list[Any] = field(default_factory=list)
    sent: bool = False
    abandoned: bool = False

    def abandon(self) -> bool:
        """Keep the batch from changing anything; whether that was in time.

        The event loop sets `abandoned` and then reads `sent`; the sending thread sets `sent` and then reads
        `abandoned`. So at least one of the two sees the other's flag.
        """
        self.abandoned = True
        return not self.sent

    def begin_sending(self) -> None:
        """Declare that what follows cannot be taken back.

        Raises:
            WriteConflict: the batch was abandoned; a caller may have been answered that nothing was done.
        """
        self.sent = True
        if self.abandoned:
            self.sent = False
            raise WriteConflict

    def check_abandoned(self) -> None:
        """Stop a batch that was abandoned.

        Raises:
            WriteConflict: it was.
        """
        if self.abandoned:
            raise WriteConflict


def attempt(batch: Batch) -> Steps[list[Outcome]]:
    """Run a batch once; an outcome for each intent, in their order.

    Replays come before any other judgement: a repeated request must not fail because its start is past by now.

    Raises:
        WriteConflict: another transaction was first; surely nothing was written.
        PyMongoError: the database failed before the commit; surely nothing was written.
    """
    batch.check_abandoned()
    answers = yield from read_answers([intent.token for intent in batch.intents if intent.token])
    fresh = [intent for intent in batch.intents if not (intent.token and intent.token.key in answers)]
    outcomes: dict[ObjectId, Outcome] = {}
    if fresh:
        outcomes = yield from _run_transaction(fresh, batch)
        if batch.written_ids and batch.age.seconds > FRESH_SECONDS:
            yield from restamp(batch.written_ids)
    return [
        outcomes[intent.operation] if intent.operation in outcomes else _replay_of(intent, answers)
        for intent in batch.intents
    ]


def _replay_of(intent: AnyIntent, answers: Mapping[str, StoredAnswer]) -> Replay | Problem:
    if intent.token is None:  # pragma: no cover  # only an intent with a key is looked up
        raise RuntimeError("an intent without a key has no stored answer")
    return replay(intent.token, answers[intent.token.key])


def _run_transaction(intents: Sequence[AnyIntent], batch: Batch) -> Steps[dict[ObjectId, Outcome]]:
    """Read, judge, write and commit."""
    snapshot = Snapshot(batch.rules, batch.clock)
    accepted: list[Accepted[object]] = []
    try:
        yield BEGIN
        yield from snapshot.load(intents)
        batch.yield_requests = snapshot.yield_requests(batch.owner)
        outcomes = yield from _verdicts(intents, snapshot, batch.branches_per_find)
        accepted = [outcome for outcome in outcomes.values() if isinstance(outcome, Accepted) and outcome.writes]
        if not accepted:
            yield ABORT
            return outcomes
        yield from snapshot.take_chosen_guards(frozenset(span.resource for each in accepted for span in each.taken))
        batch.age.check()
        if not batch.atomic:
            batch.begin_sending()
        yield from _write(accepted, snapshot, intents[0], batch.written_ids)
        if batch.atomic:
            batch.age.check()
            batch.begin_sending()
    except (ClockSkew, StaleTimestamp) as early:
        raise WriteConflict from early
    except PyMongoError as error:
        if not batch.atomic and accepted:
            return (yield from _after_failed_write(outcomes, intents, accepted[0], error))
        if error.has_error_label("TransientTransactionError") and not error.timeout:
            raise WriteConflict from error
        raise
    return (yield from _commit(outcomes, intents, accepted, min(snapshot.guards, default="")))


def _verdicts(intents: Sequence[AnyIntent], snapshot: Snapshot, branches_a_find: int) -> Steps[dict[ObjectId, Outcome]]:
    """The outcome of each intent; a lengthy one that its first occupants refuse is refused before all are read."""
    complete = yield from snapshot.read_first_occupants(intents)
    if complete is not None:
        outcomes = yield from _judge_all(intents, snapshot)
        if complete or _is_conclusive(intents[0], outcomes[intents[0].operation]):
            return outcomes
    yield from snapshot.read_occupants(intents, branches_a_find)
    return (yield from _judge_all(intents, snapshot))


def _is_conclusive(intent: AnyIntent, outcome: Outcome) -> bool:
    """Whether the outcome would be the same with more occupants.

    More occupants add no failure to a verdict that the capacity fails already. For a pool that is certain only where
    nothing but the capacity fails: with all occupants the verdict of another member could be the one to answer.
    """
    if not isinstance(outcome, Refused):
        return isinstance(outcome, Problem | Replay)
    verdict = outcome.verdict
    return verdict.is_conflict or (len(intent.lanes()) == 1 and "capacity" in {check.rule for check in verdict.failed})


def _judge_all(intents: Sequence[AnyIntent], snapshot: Snapshot) -> Steps[dict[ObjectId, Outcome]]:
    """Judge each intent in its turn, with the changes of those before it; equal keys get the first one's answer.

    The key of a refused intent is looked up once more: another process may have booked under it in between.
    """
    outcomes: dict[ObjectId, Outcome] = {}
    answers: dict[str, StoredAnswer] = {}
    for intent in intents:
        if intent.token and intent.token.key in answers:
            outcomes[intent.operation] = _replay_of(intent, answers)
            continue
        outcome = outcomes[intent.operation] = _judge(intent, snapshot)
        if intent.token and isinstance(outcome, Accepted):
            answers[intent.token.key] = intent.token.store_answer(outcome)
    refused = [intent for intent in intents if intent.token and intent.token.key not in answers]
    meanwhile = yield from read_answers([intent.token for intent in refused if intent.token])
    for intent in refused:
        if intent.token and intent.token.key in meanwhile:
            outcomes[intent.operation] = _replay_of(intent, meanwhile)
    return outcomes


def _judge(intent: AnyIntent, snapshot: Snapshot) -> Outcome:
    try:
        accepted = intent.judge(snapshot)
    except (Problem, Refused, MembersRefused, Stranded, ReservationMoved) as refusal:
        return refusal
    return accepted


def _write(
    accepted: Sequence[Accepted[object]], snapshot: Snapshot, first: AnyIntent, written: list[object]
) -> Steps[None]:
    """Write the reach first, so that no reader misses what follows; then the inserts and the guarded updates.

    The ids of the reservations are added to `written`.
    """
    inserts = [reservation for each in accepted for reservation in each.inserts]
    blocks = [reservation for each in accepted for reservation in each.blocks]
    for reach, resources in _resources_by_reach(_raised_reaches(blocks, snapshot)).items():
        raised: dict[str, object] = {"$max": {"reachBack": reach.back, "reachAhead": reach.ahead}}
        if reach.long:
            raised["$set"] = {"long": True}
        yield Step("guards.reach", "guards", "update_many", ({"_id": {"$in": resources}}, raised))
    spans = [span for each in accepted for span in each.taken]
    for lapsed in (yield from _expiry_updates(spans, snapshot, first)):
        written.append(lapsed.query["_id"])
        yield from _apply(lapsed)
    written += [identity for each in accepted for identity in _reservation_ids(each)]
    if inserts:
        yield insert("reservations.insert", "reservations", [reservation.to_mongo() for reservation in inserts])
    for each in accepted:
        for collection, document in each.documents:
            yield insert(f"{collection}.insert", collection, [document])
        for change in each.updates:
            yield from _apply(change)


def _apply(change: Update) -> Steps[None]:
    result = yield Step(f"{change.collection}.update", change.collection, "update_one", (change.query, change.change))
    if result.matched_count != 1:
        raise WriteConflict


def _raised_reaches(blocks: Sequence[Reservation], snapshot: Snapshot) -> dict[str, Reach]:
    """The raised reach of each resource whose reach does not cover all of the new blocks."""
    raised: dict[str, Reach] = {}
    for reservation in blocks:
        block = (to_millis(at) for at in (reservation.start_time, reservation.block_start, reservation.block_end))
        known = raised.get(reservation.resource, snapshot.reaches[reservation.resource])
        wanted = known.covering(*block)
        if wanted != known:
            raised[reservation.resource] = wanted
    return raised


def _resources_by_reach(raised: dict[str, Reach]) -> dict[Reach, list[str]]:
    """The resources that need the same reach, for one write: an import meets thousands of new resources at once."""
    alike: dict[Reach, list[str]] = {}
    for resource, reach in raised.items():
        alike.setdefault(reach, []).append(resource)
    return alike


def _expiry_updates(spans: Sequence[Span], snapshot: Snapshot, intent: AnyIntent) -> Steps[list[Update]]:
    """Updates that mark the expired holds in the spans as expired.

    A booking that takes an expired hold's time marks the hold in the same transaction. So a difference between clocks
    can let a booking in early, and can never let two overlap. A hold that others wrote without a version or a history
    gets no mark: it cannot be confirmed here either.
    """
    marks: dict[Hashable, Update] = {}
    for taken in spans:
        calendar = snapshot.calendar(taken.resource)
        for hold in [hold for hold in calendar.expired.values() if hold.meets(taken.start, taken.end)]:
            calendar.remove(hold.id)
            if hold.version is not None:
                marks[hold.id] = expiry_update(hold.id, hold.version, from_millis(calendar.now), intent)
    if not marks:
        return []
    query = {"_id": {"$in": [*marks]}}
    histories = yield find("occupants.histories", "reservations", query, "history")
    return [marks[row["_id"]] for row in histories if isinstance(row.get("history"), list)]


def expiry_update(identity: object, version: int, now: datetime, intent: AnyIntent) -> Update:
    """The update that marks a hold as expired."""
    line: HistoryLine = {
        "at": now,
        "by": intent.by,
        "operation": intent.operation,
        "from": "pending",
        "to": "expired",
    }
    known = {"_id": identity, "version": version, "status": "pending"}
    return Update("reservations", known, reservation_update(line, stamp=now))


def _commit(
    outcomes: dict[ObjectId, Outcome], intents: Sequence[AnyIntent], accepted: Sequence[Accepted[object]], guard: str
) -> Steps[dict[ObjectId, Outcome]]:
    """Commit; a commit that fails counts as not committed only after a read that does not find its proof.

    A server that is restarted at that moment answers "no such transaction" (251) for a transaction that was committed.
    """
    try:
        yield COMMIT
    except PyMongoError as error:
        found = yield from _was_committed(accepted[0], guard)
        if found is None:
            return _unknown_outcomes(outcomes, intents)
        if not found:
            raise WriteConflict from error
    return outcomes


def _was_committed(accepted: Accepted[object], guard: str) -> Steps[bool | None]:
    """Whether an unanswered transaction was committed, for good; None if that cannot be determined.

    Killing its session ends a transaction that is still open. The plain write that follows waits for whatever has
    locked the guard, and its majority acknowledgement means that everything before it has reached a majority as well:
    a read that then finds nothing will never find anything.
    """
    collection, query = accepted.proof
    try:
        yield KILL
        yield update("commit.fence", "guards", {"_id": guard}, BUMP)
        return (yield Step("commit.prove", collection, "find_one", (query,))) is not None
    except PyMongoError:
        return None


def _after_failed_write(
    outcomes: dict[ObjectId, Outcome], intents: Sequence[AnyIntent], accepted: Accepted[object], error: PyMongoError
) -> Steps[dict[ObjectId, Outcome]]:
    """The outcomes after a failed write without a transaction, which may have been applied nevertheless.

    A duplicate key can be that of our own row, if the driver repeated the insert.
    """
    collection, query = accepted.proof
    try:
        if (yield Step("plain.prove", collection, "find_one", (query,))) is not None:
            return outcomes
    except PyMongoError:
        return _unknown_outcomes(outcomes, intents)
    if error.timeout or isinstance(error, ConnectionFailure):
        return _unknown_outcomes(outcomes, intents)
    raise error


def _unknown_outcomes(outcomes: dict[ObjectId, Outcome], intents: Sequence[AnyIntent]) -> dict[ObjectId, Outcome]:
    """The outcomes of a batch of which it is unknown whether it was committed.

    What was accepted may be booked, and so may an intent that was to get the same answer by its key. An intent that
    was refused was judged by what may not be booked: it is `overloaded`, as nothing was done for it.
    """
    doubtful: dict[str, OutcomeUnknown] = {}
    unknown: dict[ObjectId, Outcome] = {}
    for intent in intents:
        outcome = outcomes[intent.operation]
        if isinstance(outcome, Accepted):
            ids = [str(identity) for identity in _reservation_ids(outcome)]
            problem = OutcomeUnknown(ids, keyed=intent.token is not None)
            unknown[intent.operation] = problem
            if intent.token:
                doubtful[intent.token.key] = problem
        elif isinstance(outcome, Replay) and intent.token:
            unknown[intent.operation] = doubtful.get(intent.token.key, outcome)
        else:
            unknown[intent.operation] = overloaded("The database did not answer in time; nothing was done.")
    return unknown


def _reservation_ids(accepted: Accepted[object]) -> list[Any]:
    """The ids of the reservations that an accepted intent makes or changes."""
    made = [reservation.id for reservation in accepted.inserts]
    return made + [change.query["_id"] for change in accepted.updates if change.collection == "reservations"]
