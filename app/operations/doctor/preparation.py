"""What `reserva migrate` prepares: indexes, guards and the agreement of all processes; and what rests on it."""

from collections.abc import AsyncIterator

import pymongo
from pymongo.errors import OperationFailure, PyMongoError

from app.cluster import agreement
from app.migration.coverage import survey_catalogue
from app.migration.indexes import take_inventory
from app.migration.report import examples, number
from app.operations.doctor.observation import Observation, ok, problem, warning
from app.operations.doctor.subject import Subject
from app.pids import PLACE, is_gone
from app.storage.capabilities import choose_mode
from app.storage.errors import UNAUTHORIZED, StorageError
from app.storage.hot_queries import hot_queries, is_scan
from app.storage.processes import DeploymentStore, ProcessStore
from app.storage.transaction_probe import has_place_for_probe, transaction_fault

MIGRATE = "Run `reserva migrate`."
NAMES_SHOWN = 5
TRANSACTION_SECONDS = 10.0
"""How long two transactions of one document may take."""


async def check_indexes(subject: Subject) -> AsyncIterator[Observation]:
    """Whether every declared index is there, and no other one refuses or removes what Reserva writes."""
    inventory = await take_inventory(subject.store, everywhere=True)
    if missing := [name for each in inventory.findings if each.kind == "index-missing" for name in each.ids]:
        yield problem(f"{len(missing)} indexes are missing: {examples(missing, NAMES_SHOWN)}.", MIGRATE)
    for finding in inventory.findings:
        if finding.kind != "index-missing":
            yield problem(finding.detail, "`reserva migrate --check` says whether that helped.")
    for note in inventory.notes:
        if note.kind == "index-foreign":
            yield warning(note.detail, "Ask who made it; then drop it, or leave it.")
    if not inventory.findings:
        yield ok("All indexes are as declared.")


async def check_guards(subject: Subject) -> AsyncIterator[Observation]:
    """Whether every resource and service has its guard and its pool.

    Whether the guards reach as far as what is booked is not looked at, because that reads every reservation.
    """
    coverage = await survey_catalogue(subject.store)
    findings = [*coverage.findings()]
    for finding in findings:
        yield problem(finding.detail, MIGRATE)
    if not findings:
        yield ok("Every resource has its guard, every service its pool; `reserva migrate --check` also checks reaches.")


async def check_plans(subject: Subject) -> AsyncIterator[Observation]:
    """Whether the hot queries are answered from indexes."""
    store = subject.store
    if not store.capabilities.explain:
        yield warning("This server does not explain its plans.", "Use MongoDB 7 or later.")
        return
    if store.shape == "single":
        yield warning(
            "This server answers an $or by a scan, so that Reserva asks more often.", "Use MongoDB 7 or later."
        )
    queries = await hot_queries(store)
    slow = list(dict.fromkeys([query.name for query in queries if await is_scan(store, query)]))
    for name in slow:
        yield problem(
            f"The server answers {name} by reading the whole collection.",
            "Run `reserva migrate`, which names the index that is missing, hidden or different.",
        )
    if not slow:
        yield ok(f"{len(queries)} hot queries are answered from indexes.")


async def check_transactions(subject: Subject) -> AsyncIterator[Observation]:
    """Whether transactions do what bookings rely on, tried on a document that is gone at the end."""
    store = subject.store
    if not store.capabilities.transactions:
        yield problem(
            f"There are no transactions: {store.capabilities.lack}.",
            "Run MongoDB as a replica set; one node is enough.",
        )
        return
    if not await has_place_for_probe(store):
        yield warning("Transactions can begin; more is tried once the database is prepared.", MIGRATE)
        return
    remedy = "Use MongoDB 7 or later; book nothing on this server."
    try:
        with pymongo.timeout(TRANSACTION_SECONDS):
            fault = await transaction_fault(store)
    except PyMongoError as error:
        if error.timeout:
            fault = f"A transaction of one document did not end within {TRANSACTION_SECONDS:.0f} s."
            remedy = "See that most members of the replica set answer, and keep up: a booking waits for a majority."
        elif isinstance(error, OperationFailure) and error.code != UNAUTHORIZED:
            fault = f"A transaction of one document failed: {error.details and error.details.get('errmsg')}."
        else:
            raise
    yield problem(fault, remedy) if fault else ok("Two transactions on one document exclude each other.")


async def check_mode(subject: Subject) -> AsyncIterator[Observation]:
    """Whether processes with these settings may book beside those that run, and in which mode."""
    store, agreed = subject.store, await DeploymentStore(subject.store).find()
    wanted = subject.settings.chosen_mode or (agreed.mode if agreed else subject.settings.mode)
    try:
        store.mode = choose_mode(wanted, store.capabilities)  # `difference` compares with the mode of the store
    except StorageError as error:
        yield problem(str(error), "Choose one of the two.")
        return
    if (difference := await agreement.difference(store)) is not None:
        yield problem(difference, "Or use the settings and the version of the processes that run.")
        return
    rows = [
        row
        for row in await ProcessStore(store).find_others(None)
        if row.place != PLACE or not is_gone(row.pid, row.started)  # of other machines nobody here can tell
    ]
    others = [row for row in rows if (row.mode, row.lifecycle) != (store.mode, agreement.LIFECYCLE)]
    for row in others:
        yield problem(
            f"The process {row.pid} of {row.host} books in {row.mode} mode by its own rules.",
            "Stop it, and start it with these settings and this version; if it is dead, the next process to start "
            "removes its row.",
        )
    running = f"{number(len(rows), 'process')} on {number(len({row.host for row in rows}), 'machine')}"
    if store.mode == "optimistic":
        detail = f"Bookings are made without transactions, by {running}; two can double-book."
        remedy = "Run MongoDB as a replica set, and unset RESERVA_MODE."
        yield problem(detail, remedy) if len(rows) > 1 else warning(detail, remedy)
    elif not others:
        yield ok(f"Bookings are made in {store.mode} mode, by {running}.")
