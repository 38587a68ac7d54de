"""One batch of intents as one transaction: guards, reads, verdicts in order, writes, commit.

The body is a generator of steps (see `steps`); nothing in it waits for anything but the database, and nothing can
be cancelled half-way. It answers with an outcome per intent, or raises what kept it from a commit.
"""

from collections.abc import Hashable, Sequence
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
from app.booking.transitions import HistoryLine, reservation_update
from app.domain.instants import Millis, from_millis, to_millis
from app.errors import OutcomeUnknown, Problem
from app.storage.documents import Reservation, StoredAnswer
from app.storage.reach import Reach
from app.storage.rule_cache import RuleCache
from app.storage.span import Span
from app.storage.steps import ABORT, BEGIN, COMMIT, KILL, Step, Steps, find, insert, update

Outcome: TypeAlias = Accepted[Any] | Replay | Problem | Refused | MembersRefused | Stranded | ReservationMoved


class WriteConflict(Exception):  # noqa: N818  # the ordinary fate of the second of two
    """Nothing was written and the batch can go again, most often because somebody else changed a guard first.

    `problem` is what its intents are told if their time is over.
    """

    def __init__(self, problem: Problem | None = None) -> None:
        super().__init__("lost")
        self.problem = problem or overloaded("Too many others wanted the same resource; nothing was done.")


@dataclass(slots=True)
class Batch:
    """Intents that share a transaction, in order of arrival. At most one of them changes any one document.

    Without transactions (`atomic` false) a batch is one intent, and its writes happen one after the other.
    `yields` is filled by the attempt: the guards on which another process asked for way, and for how many seconds.
    `age` counts from before its first stamp, and `written` are the reservations that bear one. `sent`: something was
    sent, or is about to be, that stands whether or not its answer is heard.
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
        """Keep it from changing anything; whether that was in time.

        The loop sets one flag and then reads the other, the thread that sends the other way round: one of them sees.
        """
        self.abandoned = True
        return not self.sent

    def begin_sending(self) -> None:
        """Send what cannot be taken back, unless somebody was told already that nothing was done.

        Raises:
            Lost: it was given up.
        """
        self.sent = True
        if self.abandoned:
            self.sent = False
            raise WriteConflict

    def check_abandoned(self) -> None:
        """Do nothing for a batch that was given up.

        Raises:
            Lost: it was.
        """
        if self.abandoned:
            raise WriteConflict


def attempt(batch: Batch) -> Steps[list[Outcome]]:
    """Run a batch once.

    Replays come before any other judgement: a repeated request must not fail because its start is now past.

    Raises:
        Lost: another transaction was first; surely nothing was written.
        PyMongoError: anything else before the commit; surely nothing was written.
    """
    batch.check_abandoned()
    told = yield from read_answers([intent.token for intent in batch.intents if intent.token])
    fresh = [intent for intent in batch.intents if not (intent.token and intent.token.key in told)]
    outcomes: dict[ObjectId, Outcome] = {}
    if fresh:
        outcomes = yield from _run_transaction(fresh, batch)
        if batch.written_ids and batch.age.seconds > FRESH_SECONDS:
            yield from restamp(batch.written_ids)
    return [
        outcomes[intent.operation] if intent.operation in outcomes else _replay_of(intent, told)
        for intent in batch.intents
    ]


def _replay_of(intent: AnyIntent, told: dict[str, StoredAnswer]) -> Replay | Problem:
    if intent.token is None:  # pragma: no cover  # only keyed intents are told anything
        raise RuntimeError("an intent without a key has no stored answer")
    return replay(intent.token, told[intent.token.key])


def _run_transaction(intents: Sequence[AnyIntent], batch: Batch) -> Steps[dict[ObjectId, Outcome]]:
    """Look, judge, write, commit."""
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
    """What comes of each; a lengthy intent that the first in its way keep out is refused before all are read."""
    complete = yield from snapshot.read_first_occupants(intents)
    if complete is not None:
        outcomes = yield from _judge_all(intents, snapshot)
        if complete or _is_conclusive(intents[0], outcomes[intents[0].operation]):
            return outcomes
    yield from snapshot.read_occupants(intents, branches_a_find)
    return (yield from _judge_all(intents, snapshot))


def _is_conclusive(intent: AnyIntent, outcome: Outcome) -> bool:
    """Whether it would be the same if more were in the way.

    A verdict with the capacity among what fails fails by nothing else then. Of a pool that is certain only where
    nothing but the capacity fails: with all in the way another member's verdict could be told.
    """
    if not isinstance(outcome, Refused):
        return isinstance(outcome, Problem | Replay)
    verdict = outcome.verdict
    return verdict.is_conflict or (len(intent.lanes()) == 1 and "capacity" in {check.rule for check in verdict.failed})


def _judge_all(intents: Sequence[AnyIntent], snapshot: Snapshot) -> Steps[dict[ObjectId, Outcome]]:
    """Each in its turn, seeing what those before it did; equal keys take the first one's answer.

    Who is refused is looked up by key once more: a stranger with the same key may have booked in between.
    """
    outcomes: dict[ObjectId, Outcome] = {}
    told: dict[str, StoredAnswer] = {}
    for intent in intents:
        if intent.token and intent.token.key in told:
            outcomes[intent.operation] = _replay_of(intent, told)
            continue
        outcome = outcomes[intent.operation] = _judge(intent, snapshot)
        if intent.token and isinstance(outcome, Accepted):
            told[intent.token.key] = intent.token.store_answer(outcome)
    refused = [intent for intent in intents if intent.token and intent.token.key not in told]
    late = yield from read_answers([intent.token for intent in refused if intent.token])
    for intent in refused:
        if intent.token and intent.token.key in late:
            outcomes[intent.operation] = _replay_of(intent, late)
    return outcomes


def _judge(intent: AnyIntent, snapshot: Snapshot) -> Outcome:
    try:
        accepted = intent.judge(snapshot)
    except (Problem, Refused, MembersRefused, Stranded, ReservationMoved) as refusal:
        return refusal
    return accepted


def _write(
    accepted: Sequence[Accepted[object]], snapshot: Snapshot, first: AnyIntent, written: list[Any]
) -> Steps[None]:
    """Reach first, so that no reader can miss what follows; then the inserts and the guarded updates.

    The ids of the reservations go into `written`.
    """
    inserts = [reservation for each in accepted for reservation in each.inserts]
    blocks = [reservation for each in accepted for reservation in each.blocks]
    for reach, resources in _resources_by_reach(_raised_reaches(blocks, snapshot)).items():
        raised: dict[str, Any] = {"$max": {"reachBack": reach.back, "reachAhead": reach.ahead}}
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
    """The guards whose reach does not yet find one of the new blocks."""
    raised: dict[str, Reach] = {}
    for reservation in blocks:
        block = (to_millis(at) for at in (reservation.start_time, reservation.block_start, reservation.block_end))
        known = raised.get(reservation.resource, snapshot.reaches[reservation.resource])
        wanted = known.covering(*block)
        if wanted != known:
            raised[reservation.resource] = wanted
    return raised


def _resources_by_reach(raised: dict[str, Reach]) -> dict[Reach, list[str]]:
    """One write for all guards that need the same: an import meets thousands of new resources at once."""
    alike: dict[Reach, list[str]] = {}
    for resource, reach in raised.items():
        alike.setdefault(reach, []).append(resource)
    return alike


def _expiry_updates(spans: Sequence[Span], snapshot: Snapshot, intent: AnyIntent) -> Steps[list[Update]]:
    """Marks for the expired holds whose place is taken: clocks decide who is early, never whether two overlap.

    What others wrote so that no mark can be put on it is over without one: nobody can confirm it here either.
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


def expiry_update(identity: Any, version: int, now: datetime, intent: AnyIntent) -> Update:
    """Write down what is already so: the hold is over."""
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
    """Commit, and believe a failure of it only after looking.

    A server restarted at that moment answers "no such transaction" (251) although it was committed.
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
    """Whether an unanswered transaction is in the majority's data, for good; None if nobody can say.

    Killing its session ends what is still open. The plain write that follows waits for whatever holds the guard, and
    its majority acknowledgement means that everything before it has reached a majority as well: so a read that then
    finds nothing will never find anything.
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
    """Without a transaction a failed write may have come through: also our own row, met by the driver's own retry."""
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
    """What was accepted may be booked, and so may what was to get the same answer by its key.

    What was refused was refused because of that, so nobody knows, but nothing was done for it.
    """
    doubtful: dict[str, OutcomeUnknown] = {}
    unknown: dict[ObjectId, Outcome] = {}
    for intent in intents:
        outcome = outcomes[intent.operation]
        if isinstance(outcome, Accepted):
            ids = [str(identity) for identity in _reservation_ids(outcome)]
            told = OutcomeUnknown(ids, keyed=intent.token is not None)
            unknown[intent.operation] = told
            if intent.token:
                doubtful[intent.token.key] = told
        elif isinstance(outcome, Replay) and intent.token:
            unknown[intent.operation] = doubtful.get(intent.token.key, outcome)
        else:
            unknown[intent.operation] = overloaded("The database did not answer in time; nothing was done.")
    return unknown


def _reservation_ids(accepted: Accepted[object]) -> list[Any]:
    """The ids of the reservations that it makes or changes."""
    made = [reservation.id for reservation in accepted.inserts]
    return made + [change.query["_id"] for change in accepted.updates if change.collection == "reservations"]
