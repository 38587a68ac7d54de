"""One batch of intents as one transaction: guards, reads, verdicts in order, writes, commit.

The body is a generator of steps (see `app.storage.steps`): it awaits nothing, so nothing can cancel it half-way. It
returns an outcome for each intent, or raises the error that prevented its commit.
"""

import time
from collections.abc import Hashable, Mapping, Sequence

from bson import ObjectId
from pymongo.errors import PyMongoError

from app.booking.batch import Batch, KeyUsed, Outcome, WriteConflict
from app.booking.commit import commit, commit_reads, outcomes_after_failed_write
from app.booking.existing import ReservationMoved
from app.booking.idempotency import Replay, read_answers, replay
from app.booking.intents import AnyIntent, Lane, View
from app.booking.outcomes import Accepted, Refused, Stranded
from app.booking.several import MembersRefused
from app.booking.snapshot import ClockSkew, Snapshot
from app.booking.timestamps import FRESH_SECONDS, StaleTimestamp, restamp
from app.booking.writes import write
from app.errors import Problem
from app.storage.documents import StoredAnswer
from app.storage.guard_steps import fence
from app.storage.reservation_steps import stamp_reservations
from app.storage.steps import ABORT, BEGIN, Step, Steps


def attempt(batch: Batch) -> Steps[list[Outcome]]:
    """Run a batch once; an outcome for each intent, in their order.

    A repeated request is answered by its key whatever the rules say of it now: its start may be past. In a transaction
    most keys are new and are not looked up before. That of a refused intent is looked up in it, and that of an accepted
    one is a duplicate if it was used; after either the batch runs again and looks up all of them first.

    Raises:
        WriteConflict: another transaction was first; nothing was written.
        KeyUsed: a key was used before; nothing was written.
        PyMongoError: the database failed before the commit, or a key is a duplicate; nothing was written.
    """
    batch.check_abandoned()
    answers: dict[str, StoredAnswer] = {}
    if batch.keys_first or not batch.atomic:
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
        _check_replays(outcomes, intents, batch)
        accepted = [outcome for outcome in outcomes.values() if isinstance(outcome, Accepted) and outcome.writes]
        if not accepted:
            yield from _end_without_writes(outcomes)
            return outcomes
        yield from snapshot.take_chosen_guards(frozenset(span.resource for each in accepted for span in each.taken))
        batch.age.check()
        if not batch.atomic:
            batch.begin_sending()
        yield from write(accepted, snapshot, intents[0], batch.written_ids)
        if batch.atomic:
            batch.age.check()
            batch.begin_sending()
    except (ClockSkew, StaleTimestamp) as early:
        raise WriteConflict from early
    except PyMongoError as error:
        if not batch.atomic and accepted:
            return (yield from outcomes_after_failed_write(outcomes, intents, accepted[0], error))
        if error.has_error_label("TransientTransactionError") and not error.timeout:
            raise WriteConflict from error
        raise
    began = time.perf_counter()
    try:
        return (yield from commit(outcomes, intents, accepted, _fence(accepted, snapshot, batch)))
    finally:
        batch.commit_seconds = time.perf_counter() - began


def _end_without_writes(outcomes: Mapping[ObjectId, Outcome]) -> Steps[None]:
    """End a transaction that writes nothing; its answers may say that what is asked for is so already.

    What a transaction has read is of a majority only once it is committed: a failover may undo it before. A refusal
    needs no such certainty.
    """
    is_so_already = any(isinstance(each, Accepted) for each in outcomes.values())
    yield from commit_reads() if is_so_already else [ABORT]


def _fence(accepted: Sequence[Accepted[object]], snapshot: Snapshot, batch: Batch) -> Step:
    """The write that waits for this transaction if it is still under way: of a guard, or of what was closed."""
    guards = snapshot.changed | {Lane(span.resource) for each in accepted for span in each.taken}
    return fence(min(guards)) if guards else stamp_reservations(batch.written_ids[:1])


def _check_replays(outcomes: Mapping[ObjectId, Outcome], intents: Sequence[AnyIntent], batch: Batch) -> None:
    """Repeat no answer that only this transaction has read: a failover may undo what one reads that does not commit.

    Raises:
        KeyUsed: the batch must look the keys up first, which reads what a majority has.
        WriteConflict: it did, and a majority does not have the answer yet; the batch is to wait, and to look again.
    """
    if not batch.atomic:
        return
    made = {each.token.key for each in intents if each.token and isinstance(outcomes[each.operation], Accepted)}
    for intent in intents:
        if isinstance(outcomes[intent.operation], Replay) and intent.token and intent.token.key not in made:
            raise WriteConflict if batch.keys_first else KeyUsed


def _verdicts(intents: Sequence[AnyIntent], snapshot: Snapshot, branches_a_find: int) -> Steps[dict[ObjectId, Outcome]]:
    """The outcome of each intent; a lengthy one that its first occupants refuse is refused before all are read."""
    complete = yield from snapshot.read_first_occupants(intents)
    if complete is not None:
        outcomes = yield from judge_all(intents, snapshot)
        if complete or _is_conclusive(intents[0], outcomes[intents[0].operation]):
            return outcomes
    yield from snapshot.read_occupants(intents, branches_a_find)
    return (yield from judge_all(intents, snapshot))


def _is_conclusive(intent: AnyIntent, outcome: Outcome) -> bool:
    """Whether the outcome would be the same with more occupants.

    More occupants add no failure to a verdict that the capacity fails already. For a pool that is certain only where
    nothing but the capacity fails: with all occupants the verdict of another member could be the one to answer.
    """
    if not isinstance(outcome, Refused):
        return isinstance(outcome, Problem | Replay)
    verdict = outcome.verdict
    return verdict.is_conflict or (len(intent.lanes()) == 1 and "capacity" in {check.rule for check in verdict.failed})


def judge_all(intents: Sequence[AnyIntent], view: View) -> Steps[dict[ObjectId, Outcome]]:
    """Judge each intent in its turn, with the changes of those before it; equal keys get the first one's answer.

    Equal questions get the first one's refusal, as the same object, until something is accepted: only that changes the
    view. The key of a refused intent is looked up: it may be refused because of what its first request has booked.
    """
    outcomes: dict[ObjectId, Outcome] = {}
    answers: dict[str, StoredAnswer] = {}
    refusals: dict[Hashable, Refused] = {}
    for intent in intents:
        if intent.token and intent.token.key in answers:
            outcomes[intent.operation] = _replay_of(intent, answers)
            continue
        question = intent.question
        outcome = outcomes[intent.operation] = refusals.get(question) or _judge(intent, view)
        if isinstance(outcome, Accepted):
            refusals.clear()
            if intent.token:
                answers[intent.token.key] = intent.token.store_answer(outcome, intent.operation.generation_time)
        elif isinstance(outcome, Refused) and question is not None:
            refusals[question] = outcome
    refused = [intent for intent in intents if intent.token and intent.token.key not in answers]
    meanwhile = yield from read_answers([intent.token for intent in refused if intent.token])
    for intent in refused:
        if intent.token and intent.token.key in meanwhile:
            outcomes[intent.operation] = _replay_of(intent, meanwhile)
    return outcomes


def _judge(intent: AnyIntent, view: View) -> Outcome:
    try:
        accepted = intent.judge(view)
    except (Problem, Refused, MembersRefused, Stranded, ReservationMoved) as refusal:
        return refusal.with_traceback(None)  # its frames refer to it: the whole snapshot would wait for the collector
    return accepted
