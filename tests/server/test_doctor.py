"""`reserva doctor`: each kind of problem is made for real, and the doctor names it with its remedy."""

import json
import re
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from bson import ObjectId
from pymongo.errors import AutoReconnect, ExecutionTimeout, OperationFailure, PyMongoError

from app.access.service import Keys
from app.cluster import agreement, worker_heartbeat
from app.domain.instants import render
from app.errors import Problem
from app.job_queue import QUEUE
from app.migration.migrate import migrate
from app.open_files import OpenFiles
from app.operations.doctor import background, preparation, servers, service
from app.operations.doctor.examination import CHECKS, Line, examine
from app.operations.doctor.observation import Observation, State, problem
from app.operations.doctor.service import Doctor
from app.operations.doctor.subject import JOBS_READ_MAX, LATE_SECONDS, Subject, read_subject
from app.pids import PLACE
from app.reconciliation.engine import reconcile_reservations
from app.settings import Settings
from app.storage.client import Store, connect
from app.storage.documents import Beat, FormerWebhookSecret
from app.storage.keys import KeyStore
from app.storage.leases import LeaseStore
from app.storage.processes import BeatStore, ProcessStore
from app.storage.server_facts import Member, read_member
from app.webhooks.secret_box import SecretBox
from app.webhooks.service import Webhooks
from tests.support.alert_findings import insert_open_findings
from tests.support.commands import run_reserva
from tests.support.http_client import create_key, serving
from tests.support.migration_rows import database_documents
from tests.support.mongodb_proxy import command, proxied
from tests.support.process_rows import process_of_another_machine
from tests.support.redis_server import OwnRedis
from tests.support.run_rows import insert_run
from tests.support.step_driver import add_resource
from tests.support.times import DAY, HOUR, MINUTE
from tests.support.webhooks import add_webhook, log_events

pytestmark = pytest.mark.servers("transactions")

ENOUGH = OpenFiles(allowed=20_000, wanted=10_256)
SET: dict[str, Any] = {
    "alert_url": "https://alerts.example.com/hook",
    "alert_secret": "a secret of our own",
    "rate_limit": "600/minute",
}
"""What a careful operator sets; the tests have no limit of requests."""
Examine: TypeAlias = Callable[..., Coroutine[Any, Any, list[Line]]]


async def examined(store: Store, url: str, files: OpenFiles = ENOUGH, **settings: Any) -> list[Line]:
    """The lines about a database under settings."""
    subject = await read_subject(store, Settings(mongodb_url=url, **{**SET, **settings}), files)
    return [line async for line in examine(subject)]


def named(lines: list[Line], state: State) -> dict[str, str]:
    """What was seen in a state, with its remedy, by check."""
    found: dict[str, str] = {}
    for check, seen in lines:
        if seen.state == state:
            found[check] = f"{found.get(check, '')} {seen.detail} {seen.remedy}".strip()
    return found


@pytest.fixture
async def healthy(store: Store) -> Store:
    """A deployment in which everything works."""
    await add_resource(store)
    await create_key(store, "website", ["admin"])
    await worker_heartbeat.beat(store, "worker-1", "here")
    await reconcile_reservations(store, "full")
    return store


@pytest.fixture
async def examine_healthy(healthy: Store, database_url: str, redis_url: str) -> Examine:
    """Examines that deployment under settings, after whatever a test has done to it."""

    async def run(**settings: Any) -> list[Line]:
        return await examined(healthy, database_url, **{"redis_url": redis_url, **settings})

    return run


async def test_a_healthy_deployment(examine_healthy: Examine, healthy: Store) -> None:
    """Nothing is wrong with a deployment in which everything works, and every check says so."""
    lines = await examine_healthy()

    assert named(lines, "problem") == {}
    assert {*named(lines, "warning")} == ({"plans"} if healthy.shape == "single" else set())
    assert {line.check for line in lines} == {*named(lines, "ok")}


async def test_page_of_the_console(healthy: Store, database_url: str, redis_url: str) -> None:
    """The operator's page shows each check with its remedy, escaped, and names those for which there was no time."""
    settings = Settings(mongodb_url=database_url, redis_url=redis_url, rate_limit="0")
    async with serving(healthy, settings=settings) as client:
        await client.post("/console/sign-in", data={"key": client.headers["authorization"].removeprefix("Bearer ")})
        answer = await client.get("/console/operator/doctor")
        assert answer.status_code == 200
        assert [check for check in CHECKS if f"<code>{check}</code>" not in answer.text] == []
        assert "Set RESERVA_RATE_LIMIT and RESERVA_RATE_LIMIT_ADDRESS" in answer.text
        assert healthy.mode == "strict"


async def test_page_without_time(healthy: Store, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Checks that there is no time for are named, and those before them are kept."""
    monkeypatch.setattr(service, "EXAMINATION_SECONDS", 0.0)
    examination = await Doctor(Settings(mongodb_url=database_url)).examination()

    assert (examination.lines, examination.left_out) == ([], [*CHECKS])


async def test_page_without_a_database(healthy: Store) -> None:
    """A database that cannot be used is a problem with what to check, not an error."""
    with pytest.raises(Problem, match="MONGODB_URL") as refused:
        await Doctor(Settings(mongodb_url="mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=50")).examination()
    assert refused.value.name == "unavailable"


async def test_nothing_stays(examine_healthy: Examine, healthy: Store) -> None:
    """The database is after an examination what it was before, indexes included."""
    before = await database_documents(healthy)
    await examine_healthy()

    assert await database_documents(healthy) == before


async def test_a_database_that_was_never_prepared(bare_store: Store, database_url: str) -> None:
    """It lacks its indexes, and the examination makes no collection in it."""
    lines = await examined(bare_store, database_url)

    assert "reserva migrate" in named(lines, "problem")["indexes"]
    assert "Transactions can begin" in named(lines, "warning")["transactions"]
    assert await bare_store.database.list_collection_names() == []


async def test_missing_indexes(examine_healthy: Examine, healthy: Store) -> None:
    """A missing index is named, and so is the query that reads the whole collection without it."""
    await healthy.database["reservations"].drop_indexes()
    seen = named(await examine_healthy(), "problem")

    assert "reservation_conflict_lookup" in seen["indexes"]
    assert "the conflict lookup of a booking by reading the whole collection" in seen["plans"]
    assert "the lookup of an Idempotency-Key" in seen["plans"]


@pytest.mark.servers("mongod")
async def test_a_hidden_index(store: Store, database_url: str) -> None:
    """An index that the planner may not use is different from the declared one, and its query scans."""
    findings = store.database["findings"]
    await findings.insert_one({"state": "resolved"})
    indexes = [index async for index in findings.list_indexes() if index["name"] != "_id_"]
    for index in indexes:
        await findings.drop_index(index["name"])
        kept = {name: value for name, value in index.items() if name not in {"v", "key"}}
        await findings.create_index([*index["key"].items()], **kept, hidden=True)
    seen = named(await examined(store, database_url), "problem")

    assert "hidden: True" in seen["indexes"]
    assert "dropIndex" in seen["indexes"]
    assert "the search for findings to be told" in seen["plans"]


async def test_an_index_of_another_program(examine_healthy: Examine, healthy: Store) -> None:
    """An index that refuses what Reserva writes is named."""
    await healthy.database["customers"].create_index("email", unique=True)

    assert "email_1 of customers" in named(await examine_healthy(), "warning")["indexes"]


async def test_a_missing_guard(examine_healthy: Examine, healthy: Store) -> None:
    """A resource without its guard is named, because it cannot be booked."""
    await healthy.database["guards"].delete_one({"_id": "room"})
    seen = named(await examine_healthy(), "problem")

    assert "1 guard: room" in seen["guards"]
    assert "reserva migrate" in seen["guards"]


async def test_a_missing_redis(examine_healthy: Examine, tmp_path: Path) -> None:
    """A Redis that does not answer is a problem, one that is not set a warning; neither ends the examination."""
    down = await examine_healthy(redis_url=OwnRedis(tmp_path).url)
    unset = await examine_healthy(redis_url=None)

    assert "Check REDIS_URL" in named(down, "problem")["servers"]
    assert "REDIS_URL is not set" in named(unset, "warning")["servers"]


async def test_a_redis_that_forgets(examine_healthy: Examine, tmp_path: Path) -> None:
    """A Redis that removes jobs when its memory is full is named."""
    own = OwnRedis(tmp_path)
    own.start()
    with own.client() as redis:
        redis.config_set("maxmemory", "100mb")
        redis.config_set("maxmemory-policy", "allkeys-lru")
    try:
        seen = named(await examine_healthy(redis_url=own.url), "warning")
    finally:
        own.kill()

    assert "allkeys-lru" in seen["limits"]
    assert "noeviction" in seen["limits"]


async def test_a_redis_that_hangs(examine_healthy: Examine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that takes connections and answers nothing is waited for so long and no longer."""
    monkeypatch.setattr("app.operations.doctor.subject.REDIS_SECONDS", 0.2)
    own = OwnRedis(tmp_path)
    own.start()
    own.process.send_signal(signal.SIGSTOP)
    try:
        seen = named(await examine_healthy(redis_url=own.url), "problem")
    finally:
        own.process.send_signal(signal.SIGCONT)
        own.kill()

    assert "no answer within" in seen["servers"]


async def test_one_host_elsewhere(healthy: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A replica set of which only the first member is on this machine can be reached by others."""
    monkeypatch.setattr("app.operations.doctor.subject.MONGODB_SECONDS", 1.0)
    seen = named(await examined(healthy, "mongodb://127.0.0.1:27017,db2:27017/reserva"), "warning")

    assert "lets everybody in" in seen["servers"]


async def test_servers_without_a_login(healthy: Store, database_url: str, redis_url: str) -> None:
    """Servers of another machine that ask for no user are named; the address below is this one by another name."""
    elsewhere = [url.replace("127.0.0.1", "0.0.0.0") for url in (database_url, redis_url)]
    seen = named(await examined(healthy, elsewhere[0], redis_url=elsewhere[1]), "warning")["servers"]

    assert re.search("MongoDB at .* lets everybody in", seen)
    assert re.search("Redis at .* lets everybody in", seen)


@pytest.mark.servers("standalone")
async def test_a_server_without_transactions(bare_store: Store, database_url: str) -> None:
    """It is named, and so is that `serve` would refuse it, unless the mode is optimistic."""
    await migrate(bare_store)
    strict = named(await examined(bare_store, database_url), "problem")
    optimistic = await examined(bare_store, database_url, mode="optimistic")

    assert "There are no transactions" in strict["transactions"]
    assert "RESERVA_MODE=optimistic" in strict["mode"]
    assert "double-book" in named(optimistic, "warning")["mode"]


async def test_optimistic_mode(healthy: Store, examine_healthy: Examine) -> None:
    """Booking without transactions is a warning, and a problem as soon as two processes do so."""
    await agreement.agree(healthy)
    await healthy.database["deployment"].update_one({"_id": "deployment"}, {"$set": {"mode": "optimistic"}})
    alone = await examine_healthy()
    for _ in range(2):
        await ProcessStore(healthy).put_process(process_of_another_machine(lifecycle=agreement.LIFECYCLE))
    several = await examine_healthy()

    assert "double-book" in named(alone, "warning")["mode"]
    assert "2 processes on 1 machine" in named(several, "problem")["mode"]


async def test_a_process_of_another_version(healthy: Store, examine_healthy: Examine) -> None:
    """A process that books by other rules is named with its machine."""
    await ProcessStore(healthy).put_process(process_of_another_machine(lifecycle="another", mode="strict", pid=4711))

    assert "The process 4711 of far" in named(await examine_healthy(), "problem")["mode"]


async def test_a_process_that_died(healthy: Store, examine_healthy: Examine) -> None:
    """The row that a process of this machine has left does not count as a process that books."""
    dead = process_of_another_machine(lifecycle="another", mode="strict", place=PLACE, pid=2**22 + 1)
    await ProcessStore(healthy).put_process(dead)
    lines = await examine_healthy()

    assert "mode" not in named(lines, "problem")
    assert "0 processes" in named(lines, "ok")["mode"]


async def test_transactions_that_do_not_end(healthy: Store, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit that waits for a majority in vain is a problem, with a remedy for that."""
    monkeypatch.setattr(preparation, "TRANSACTION_SECONDS", 1.0)
    async with proxied(database_url) as proxy:
        store = await connect(proxy.url)
        try:
            proxy.lose(command("commitTransaction"))
            seen = named(await examined(store, proxy.url), "problem")
        finally:
            await store.close()

    assert "did not end within 1 s" in seen["transactions"]
    assert "majority" in seen["transactions"]


async def test_settings_that_differ_from_the_deployment(healthy: Store, examine_healthy: Examine) -> None:
    """A process with these settings would not start, so it is said before."""
    healthy.mode = "strict"
    await agreement.agree(healthy)

    assert "would book in optimistic mode" in named(await examine_healthy(mode="optimistic"), "problem")["mode"]


@pytest.mark.parametrize(("seconds", "state"), [(3600, "problem"), (-3600, "problem"), (5, "warning"), (0, "ok")])
async def test_clocks(healthy: Store, database_url: str, seconds: int, state: State) -> None:
    """A server whose clock is far from that of this machine is named, with which of them is ahead."""
    async with proxied(database_url) as proxy:
        proxy.clock_ahead_ms = seconds * 1000
        store = await connect(proxy.url)
        try:
            seen = named(await examined(store, proxy.url), state)
        finally:
            await store.close()

    way = "ahead of" if seconds > 0 else "behind"
    assert f"s {way} that of this machine" in seen["clocks"] or not seconds


async def test_clocks_of_which_none_can_be_read(healthy: Store, database_url: str) -> None:
    """Where no member answers when it is asked itself, that is said, and the other checks are made."""
    subject = await read_subject(healthy, Settings(mongodb_url=database_url, **SET), ENOUGH)
    down = replace(subject, members=[Member("db1:27017", fault="It is down.")])
    lines = [line async for line in examine(down)]

    assert "No member could be asked" in named(lines, "warning")["clocks"]
    assert "db1:27017" in named(lines, "problem")["servers"]
    assert "settings" in named(lines, "ok")


async def test_a_member_that_is_down(database_url: str) -> None:
    """A member of a replica set that does not answer is named with the reason."""
    member = await read_member(f"{database_url}?serverSelectionTimeoutMS=300", "127.0.0.1:1")

    assert member.fault
    assert "Topology" not in member.fault
    assert member.version == ""


async def test_small_limits(healthy: Store, database_url: str) -> None:
    """Too few open files, and a pool in which requests wait for one another, are named."""
    store = await connect(f"{database_url}?maxPoolSize={servers.POOL_MIN - 1}")
    try:
        seen = named(await examined(store, database_url, OpenFiles(allowed=1024, wanted=10_256)), "warning")
    finally:
        await store.close()

    assert "may open 1,024 files; 10,256 are needed" in seen["limits"]
    assert "maxPoolSize" in seen["limits"]


async def test_workers(healthy: Store, examine_healthy: Examine) -> None:
    """A worker that fell silent is dead; without any heartbeat none was started."""
    long_ago = healthy.clock.now() - HOUR
    await BeatStore(healthy).put_beat(Beat(id="worker-1", host="here", at=long_ago))
    dead = named(await examine_healthy(), "problem")
    await worker_heartbeat.stop(healthy, "worker-1")
    none = named(await examine_healthy(), "problem")

    assert "its last heartbeat was 3,6" in dead["workers"]
    assert "No worker runs" in none["workers"]


async def test_an_old_queue(healthy: Store, examine_healthy: Examine, tmp_path: Path) -> None:
    """A run that waits for long is a problem, unless another one is running; and so is a job in Redis."""
    await insert_run(healthy, "incremental", healthy.clock.now() - HOUR, "queued")
    own = OwnRedis(tmp_path)
    own.start()
    with own.client() as redis:
        due = healthy.clock.millis() - 2 * LATE_SECONDS * 1000
        redis.zadd(QUEUE, {"forgotten": due, "under way": due, "soon": healthy.clock.millis() + 60_000})
        redis.set("arq:in-progress:under way", 1)
    try:
        waiting = named(await examine_healthy(redis_url=own.url), "problem")
    finally:
        own.kill()
    await insert_run(healthy, "full", healthy.clock.now(), "running")

    assert "1 reconciliation waiting, the oldest for 3,6" in waiting["queue"]
    assert "1 job in Redis should have begun" in waiting["queue"]
    assert "(forgotten)" in waiting["queue"]
    assert "queue" not in named(await examine_healthy(), "problem")


async def test_an_old_reconciliation(store: Store, database_url: str) -> None:
    """A full run that is older than a day, and than the schedule says, is a problem; a running one makes it wait."""
    none = await examined(store, database_url)
    await insert_run(store, "full", store.clock.now() - DAY - 10 * MINUTE)
    old = await examined(store, database_url)
    weekly = await examined(store, database_url, reconcile_cron="0 0 * * 1")
    await insert_run(store, "full", store.clock.now(), "running")
    running = await examined(store, database_url)

    assert "No full run has succeeded" in named(none, "warning")["reconciliation"]
    assert "too long ago" in named(old, "problem")["reconciliation"]
    assert "reconciliation" not in named(weekly, "problem")
    assert "is running" in named(running, "warning")["reconciliation"]


async def test_a_schedule_that_pauses(store: Store, database_url: str) -> None:
    """On a weekend the full run of Friday is not too old where runs are scheduled on working days alone."""
    days = [store.clock.now() - days * DAY for days in (3, 4)]
    await insert_run(store, "full", days[0])
    weekdays = ",".join(str(day.isoweekday() % 7) for day in days)
    paused = await examined(store, database_url, reconcile_cron=f"0 0 * * {weekdays}")

    assert "reconciliation" not in named(paused, "problem")


async def test_many_old_jobs(examine_healthy: Examine, healthy: Store, tmp_path: Path) -> None:
    """A queue of any size, and with any names in it, is told in one short line."""
    own = OwnRedis(tmp_path)
    own.start()
    with own.client() as redis:
        redis.zadd(QUEUE, {f"{number:03}{'x' * 10_000}": 1 for number in range(JOBS_READ_MAX + 1)})
    try:
        seen = named(await examine_healthy(redis_url=own.url), "problem")["queue"]
    finally:
        own.kill()

    assert f"At least {JOBS_READ_MAX} jobs in Redis" in seen
    assert len(seen) < 2_000


async def test_a_failed_run_and_its_findings(healthy: Store, examine_healthy: Examine) -> None:
    """The reason of the last failure is said, rows that no run can read, and that findings are open."""
    await insert_run(healthy, "full", healthy.clock.now(), unreadable=7)
    await insert_run(healthy, "incremental", healthy.clock.now() + timedelta(seconds=5), "failed", error="No memory.")
    await insert_open_findings(healthy, "room", "other")
    seen = named(await examine_healthy(), "warning")["reconciliation"]

    assert "The last run failed: No memory." in seen
    assert "could not read 7 rows" in seen
    assert "2 findings open" in seen


async def test_alerts(healthy: Store, examine_healthy: Examine) -> None:
    """An alert URL that refuses messages is named, and so is that there is none, or no signature."""
    leases = LeaseStore(healthy)
    grant = await leases.acquire("sender", "alerts")
    assert grant is not None
    delivery = (await leases.delivery()).model_copy(update={"failures": background.FAILURES_MAX})
    await leases.renew(grant, delivery=delivery)
    refused = named(await examine_healthy(), "problem")
    unset = named(await examine_healthy(alert_url=None), "warning")
    unsigned = named(await examine_healthy(alert_secret=None), "warning")

    assert "refused the last 3 messages" in refused["alerts"]
    assert "RESERVA_ALERT_URL" in unset["alerts"]
    assert "RESERVA_ALERT_SECRET" in unsigned["alerts"]


async def test_damaged_events(healthy: Store, examine_healthy: Examine) -> None:
    """Events of the log that another program has damaged are counted, and the first of them named."""
    await log_events(healthy, 2)
    await healthy.database["events"].update_one({"_id": 2}, {"$set": {"at": "yesterday"}})
    damaged = named(await examine_healthy(), "warning")["events"]

    assert "damaged 1 event of the log (2)" in damaged


async def test_webhooks(healthy: Store, examine_healthy: Examine) -> None:
    """A webhook that is paused, behind or cannot sign is named, and so are secrets that are not sealed."""
    key = "A" * 43 + "="
    webhook = await add_webhook(healthy, "https://shop.example/reserva")
    await log_events(healthy, 2, at=healthy.clock.now() - HOUR)
    behind = named(await examine_healthy(), "warning")["webhooks"]
    paused = {"pausedAt": healthy.clock.now(), "pausedBecause": "it answered 500"}
    await healthy.database["webhooks"].update_one({}, {"$set": paused})
    given_up = named(await examine_healthy(), "problem")["webhooks"]
    await Webhooks(healthy, Settings(secrets_key=key)).rotate(str(webhook.id), "me")
    sealed = named(await examine_healthy(), "problem")["webhooks"]
    openable = await examine_healthy(secrets_key=key)
    former = FormerWebhookSecret(secret=webhook.secret, until=healthy.clock.now() + HOUR).model_dump()
    await healthy.database["webhooks"].update_one({}, {"$set": {"formerSecrets": [former]}})
    plain = named(await examine_healthy(secrets_key=key), "warning")["webhooks"]
    former["secret"] = SecretBox(Settings(secrets_key="B" * 42 + "A=").sealing_keys()).seal(webhook.secret)
    await healthy.database["webhooks"].update_one({}, {"$set": {"formerSecrets": [former]}})
    foreign = named(await examine_healthy(secrets_key=key), "warning")["webhooks"]

    assert "3,6" in behind
    assert "2 events behind" in behind
    assert "stored as they are" in behind
    assert f"The webhook {webhook.id} is paused since" in given_up
    assert "it answered 500" in given_up
    assert "RESERVA_SECRETS_KEY is not set" in sealed
    assert "RESERVA_SECRETS_KEY" not in named(openable, "problem")["webhooks"]
    assert "webhooks" not in named(openable, "warning")
    assert "The secrets of 1 webhook are stored as they are" in plain
    assert f"A former secret of the webhook {webhook.id} does not sign: its secret was sealed by another" in foreign


@pytest.mark.parametrize("secret", ["whsec_no base64", "whsec_\u00fc", "whsec_", "sealed:\u00fc", "abc"])
async def test_a_secret_that_is_none(healthy: Store, examine_healthy: Examine, secret: str) -> None:
    """A webhook whose secret another program has replaced is named with what helps; so is one that cannot be read."""
    first, second = [await add_webhook(healthy, "https://shop.example/reserva") for _ in "12"]
    await healthy.database["webhooks"].update_one({"_id": first.id}, {"$set": {"secret": secret}})
    await healthy.database["webhooks"].update_one({"_id": second.id}, {"$set": {"url": 7}})
    found = named(await examine_healthy(secrets_key="A" * 43 + "="), "problem")["webhooks"]

    assert f"Nothing is sent to the webhook {first.id}" in found
    assert ("rotate" in found) == (not secret.startswith("sealed:"))
    assert "1 webhook cannot be read" in found


async def test_keys_that_end(healthy: Store, examine_healthy: Examine) -> None:
    """A key that ends within two weeks is named, a revoked one is not; and so is that no key lives."""
    now = healthy.clock.now()
    early, distant = ({"expiresAt": render(now + timedelta(days=days))} for days in (3, 30))
    soon, twin = [(await create_key(healthy, "partner", ["reservations:read"], **early)).key for _ in range(2)]
    late = (await create_key(healthy, "another", ["reservations:read"], **distant)).key
    over = (await create_key(healthy, "former", ["reservations:read"], **early)).key
    await Keys(healthy).revoke(over.id, "test")
    await KeyStore(healthy).write_uses([twin.id], now)
    ending = named(await examine_healthy(), "warning")["keys"]
    await healthy.database["keys"].delete_many({})
    none = named(await examine_healthy(), "warning")["keys"]

    assert f"{soon.id} (partner)" in ending
    assert f"{twin.id} (partner)" in ending
    assert "was never used" in ending
    assert f"was last used at {now:%Y-%m-%d %H:%M} UTC" in ending
    assert late.id not in ending
    assert over.id not in ending
    assert "reserva keys create" in none


async def test_settings_without_a_limit(examine_healthy: Examine) -> None:
    """A setting that lets one client block everything is named."""
    assert "RESERVA_MAX_HOLDS" in named(await examine_healthy(max_holds=0), "warning")["settings"]
    assert "RESERVA_RATE_LIMIT" in named(await examine_healthy(rate_limit="0"), "warning")["settings"]


@pytest.mark.servers("mongod")
async def test_a_view_in_the_place_of_a_collection(store: Store, database_url: str) -> None:
    """One of another program is a problem, for which `reserva migrate --check` has the remedy."""
    await store.database.drop_collection("customers")
    await store.database.create_collection("customers", viewOn="others", pipeline=[])
    seen = named(await examined(store, database_url), "problem")["indexes"]

    assert "customers is a view" in seen
    assert "reserva migrate --check" in seen


async def test_a_document_that_cannot_be_read(healthy: Store, examine_healthy: Examine) -> None:
    """A row of Reserva's own that another program spoilt is a line, and the other checks are made."""
    row = {"_id": ObjectId("f" * 24), "kind": "full", "state": "succeeded", "createdAt": "yesterday"}
    await healthy.database["reconciliations"].insert_one(row)
    lines = await examine_healthy()

    assert "A stored Run cannot be read: createdAt" in named(lines, "problem")["reconciliation"]
    assert "settings" in named(lines, "ok")


ODD = [
    (KeyError("queryPlanner"), "problem", "KeyError: 'queryPlanner'"),
    (OperationFailure("not authorized", 13), "warning", "the rights of the user"),
    (OperationFailure("it is a view", 166), "problem", "it is a view. `reserva migrate --check`"),
    (ExecutionTimeout("operation exceeded time limit", 50), "problem", "did not answer within"),
    (AutoReconnect("connection closed"), "warning", "connection closed"),
]


def failing_after_a_problem(error: Exception) -> Callable[[Subject], AsyncIterator[Observation]]:
    """A check that finds a problem and then fails."""

    async def check(_: Subject) -> AsyncIterator[Observation]:
        yield problem("Seen before.", "Mend it.")
        raise error

    return check


@pytest.mark.parametrize(("error", "state", "words"), ODD, ids=[type(error).__name__ for error, *_ in ODD])
async def test_a_check_that_fails(
    examine_healthy: Examine, monkeypatch: pytest.MonkeyPatch, error: Exception, state: State, words: str
) -> None:
    """What it had seen is kept, that it failed is a line with what that means, and the other checks are made."""
    monkeypatch.setitem(CHECKS, "versions", failing_after_a_problem(error))
    lines = await examine_healthy()

    assert "Seen before." in named(lines, "problem")["versions"]
    assert words in named(lines, state)["versions"]
    assert {line.check for line in lines} == {*CHECKS}


async def test_a_database_that_goes(healthy: Store, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it does not answer any more, the examination ends: the command could not look."""
    monkeypatch.setitem(CHECKS, "versions", failing_after_a_problem(AutoReconnect("connection closed")))
    async with proxied(database_url) as proxy:
        store = await connect(proxy.url)
        try:
            subject = await read_subject(store, Settings(mongodb_url=proxy.url, **SET), ENOUGH)
            proxy.cut(command("hello"), times=None)
            with pytest.raises(PyMongoError):
                assert [line async for line in examine(subject)]
        finally:
            await store.close()


async def test_the_command(healthy: Store, database_url: str, redis_url: str) -> None:
    """The exit code is 0 without a problem and 1 with one; standard output has a line for each, or one of JSON."""
    fine = run_reserva("doctor", MONGODB_URL=database_url, REDIS_URL=redis_url)
    await healthy.database["guards"].delete_one({"_id": "room"})
    found = run_reserva("doctor", MONGODB_URL=database_url, REDIS_URL=redis_url)
    as_json = run_reserva("doctor", "--json", MONGODB_URL=database_url, REDIS_URL=redis_url)

    assert (fine.returncode, found.returncode, as_json.returncode) == (0, 1, 1), fine.stdout
    assert [line for line in found.stdout.splitlines() if line.startswith("problem  guards ")]
    assert found.stderr == f"1 problem, {found.stdout.count('warning ')} warnings, {found.stdout.count('ok ')} ok.\n"
    seen = json.loads(as_json.stdout)
    assert (seen["problems"], as_json.stdout.count("\n")) == (1, 1)
    [guards] = [each for each in seen["checks"] if each["state"] == "problem"]
    assert {*guards} == {"check", "state", "detail", "remedy"}
    assert guards["check"] == "guards"
