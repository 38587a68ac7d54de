"""The work behind requests: workers, the queue, reconciliations and alerts."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

from app import cron
from app.cluster.worker_heartbeat import workers
from app.events.figures import read_event_figures
from app.migration.report import examples, number
from app.operations.doctor.observation import Observation, ok, problem, warning
from app.operations.doctor.subject import JOBS_READ_MAX, LATE_SECONDS, Subject
from app.storage.event_log import EventLog
from app.storage.findings import FindingStore
from app.storage.leases import LeaseStore
from app.storage.runs import KINDS, RunStore

DAY = timedelta(days=1)
FAILURES_MAX = 3
"""Messages that the alert URL may refuse in a row."""
EVENTS_READ_MAX = 10_000
"""Of the log the last ones are looked at."""
_ENDS = {"failed": "failed", "abandoned": "was abandoned"}
_START = "Start one: `reserva worker`."


async def check_workers(subject: Subject) -> AsyncIterator[Observation]:
    """Whether a worker lives."""
    found = await workers(subject.store)
    if found.alive:
        yield ok(f"{number(found.alive, 'worker')} alive; the last heartbeat was {found.seconds or 0:.0f} s ago.")
    elif found.seconds is None:
        yield problem("No worker runs: nothing reconciles, and no alert is sent.", _START)
    else:
        yield problem(f"The worker is dead: its last heartbeat was {found.seconds:,.0f} s ago.", _START)


async def check_queue(subject: Subject) -> AsyncIterator[Observation]:
    """Whether what waits is begun soon; behind a run that is under way everything may wait."""
    runs = RunStore(subject.store)
    waiting, oldest = await runs.queued()
    seconds = 0.0 if oldest is None else (subject.store.clock.now() - oldest.created_at).total_seconds()
    is_busy = await runs.last(["running"], KINDS) is not None
    remedy = "See whether a worker runs, and its log; `reserva reconcile` runs one at once."
    if seconds > LATE_SECONDS and not is_busy:
        yield problem(
            f"{number(waiting, 'reconciliation')} waiting, the oldest for {seconds:,.0f} s, and none is running.",
            remedy,
        )
    else:
        yield ok(f"{number(waiting, 'reconciliation')} waiting.")
    if subject.redis is not None and subject.redis.overdue:
        late = subject.redis.overdue
        least = "At least " if len(late) == JOBS_READ_MAX else ""
        detail = (
            f"{least}{number(len(late), 'job')} in Redis should have begun {LATE_SECONDS} s ago ({examples(late)})."
        )
        yield problem(detail, "See whether a worker runs with this REDIS_URL, and its log.")


async def check_events(subject: Subject) -> AsyncIterator[Observation]:
    """Whether events get their places in the log."""
    figures = await read_event_figures(subject.store)
    if figures.is_late:
        yield problem(
            f"{number(figures.waiting, 'event')} waiting for a place in the log, the oldest for "
            f"{figures.oldest_seconds:,.0f} s: followers see nothing new.",
            "See whether a worker runs, and its log for `events are not placed`.",
        )
    else:
        yield ok(f"{number(figures.waiting, 'event')} waiting; {number(figures.kept, 'event')} kept.")
    if damaged := await EventLog(subject.store).damaged(EVENTS_READ_MAX):
        places = examples([*map(str, damaged)])
        yield warning(
            f"Another program has damaged {number(len(damaged), 'event')} of the log ({places}).",
            "Readers get what can be read of them. Find out what writes to `events`, and take that right from it.",
        )


async def check_reconciliation(subject: Subject) -> AsyncIterator[Observation]:
    """Whether everything was reconciled lately, and what came of it."""
    runs = RunStore(subject.store)
    now = subject.store.clock.now()
    last = await runs.last(["succeeded"], ["full"])
    if last is None or last.finished_at is None:
        yield warning("No full run has succeeded yet.", "Start a worker, or run `reserva reconcile`.")
    else:
        age = now - last.finished_at
        detail = f"The last full run ended {_ago(age)} and read {last.scanned:,} reservations"
        if age <= DAY or last.finished_at >= _day_of_full_run(subject, now):
            yield ok(f"{detail}.")
        elif await runs.last(["running"], ["full"]) is not None:
            yield warning(f"{detail}; the next one is running.", "Wait for its end.")
        else:
            yield problem(
                f"{detail}, which is too long ago.", "See the log of the worker; `reserva reconcile` runs one."
            )
        if last.unreadable:
            yield warning(f"It could not read {last.unreadable:,} rows.", "The log of the worker has examples.")
    newest = await runs.newest(["succeeded", "failed", "abandoned"], [], None, 1)
    if newest and newest[0].state != "succeeded":
        yield warning(
            f"The last run {_ENDS[newest[0].state]}: {newest[0].error or 'no reason is known.'}",
            "See the log of the worker; `reserva reconcile` runs one.",
        )
    if (count := await FindingStore(subject.store).count_open()) > 0:
        yield warning(
            f"{number(count, 'finding')} open: something is booked above capacity.",
            "Review them: `reserva findings list`.",
        )


def _day_of_full_run(subject: Subject, now: datetime) -> datetime:
    """When the last day of the schedule began, whose first run is full; it may be long ago."""
    last = cron.last_until(cron.parse(subject.settings.reconcile_cron), now - timedelta(seconds=LATE_SECONDS))
    return last.replace(hour=0, minute=0, second=0, microsecond=0)


async def check_alerts(subject: Subject) -> AsyncIterator[Observation]:
    """Whether open findings are told to somebody."""
    settings, store = subject.settings, subject.store
    if settings.alert_url is None:
        yield warning(
            "RESERVA_ALERT_URL is not set: nobody is told of findings.", "Set it to a chat's or pager's hook."
        )
        return
    if settings.alert_secret is None:
        yield warning("Alerts are not signed.", "Set RESERVA_ALERT_SECRET, here and at the receiver.")
    delivery = await LeaseStore(store).delivery()
    untold = await FindingStore(store).count_unalerted()
    if delivery.failures:
        detail = f"The alert URL refused the last {delivery.failures} messages; {number(untold, 'finding')} untold."
        remedy = "Check RESERVA_ALERT_URL and its receiver; the log of the worker has its answers."
        yield problem(detail, remedy) if delivery.failures >= FAILURES_MAX else warning(detail, remedy)
    else:
        yield ok(f"{number(untold, 'open finding')} untold.")


def _ago(age: timedelta) -> str:
    hours = age.total_seconds() / 3600
    return f"{hours:,.1f} hours ago" if hours >= 1 else f"{max(age.total_seconds(), 0) / 60:.0f} minutes ago"
