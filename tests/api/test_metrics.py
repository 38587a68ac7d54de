"""`/metrics`: what Prometheus reads."""

import platform
from datetime import timedelta
from importlib.metadata import version

import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.cluster import worker_heartbeat
from app.cluster.worker_liveness import DEAD_SECONDS
from app.reconciliation import engine
from app.reconciliation.alerts import Alerts
from app.settings import Settings
from app.storage.runs import RunStore
from tests.support.alert_receiver import alert_receiver
from tests.support.api_client import ApiClient, problem
from tests.support.http_client import serving
from tests.support.scraped import Scraped
from tests.support.times import HOUR, NINE
from tests.support.webhooks import add_webhook, log_events


async def scraped(api: ApiClient) -> dict[str, float]:
    """The samples by name, with their kind where they have one."""
    answer = await api.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    families = text_string_to_metric_families(answer.text)
    return {
        "_".join([sample.name, *sample.labels.values()]): sample.value for each in families for sample in each.samples
    }


async def test_findings_and_runs_in_numbers(api: ApiClient) -> None:
    """The mode, open findings and the age of the oldest; duration and rows of the last run of each kind."""
    store = api.store
    mode = {"reserva_mode_optimistic": 1, "reserva_mode_strict": 0}
    findings = {"reserva_findings_open": 0, "reserva_findings_oldest_seconds": 0}
    alerts = {"reserva_findings_untold": 0, "reserva_findings_untold_seconds": 0, "reserva_alert_failures": 0}
    queue = {"reserva_reconciliations_queued": 0, "reserva_reconciliations_queued_seconds": 0, "reserva_workers": 0}
    expected = mode | findings | alerts | queue
    empty = await scraped(api)
    assert {name: empty[name] for name in expected} == expected
    times = {"startTime": NINE, "endTime": NINE + HOUR}
    await store.database["reservations"].insert_many([{"resource": "r", "status": "confirmed", **times} for _ in "12"])
    await engine.reconcile_reservations(store, "full")
    old = {"firstSeen": store.clock.now() - timedelta(hours=1)}
    await store.database["findings"].update_many({}, {"$set": old})
    figures = await scraped(api)
    ahead = {"firstSeen": store.clock.now() + timedelta(hours=1)}  # by the clock of another process
    await store.database["findings"].update_many({}, {"$set": ahead})

    assert (await scraped(api))["reserva_findings_oldest_seconds"] == 0
    assert figures["reserva_findings_open"] == 1
    assert figures["reserva_findings_oldest_seconds"] >= 3600
    assert figures["reserva_reconciliation_rows_full"] == 2
    assert figures["reserva_reconciliation_seconds_full"] >= 0


@pytest.mark.promise("reconciliation-resumes")
async def test_that_it_stopped_can_be_seen(api: ApiClient) -> None:
    """When each kind last succeeded and last failed, what it left out and why, what waits, and whether a worker lives.

    A run that failed does not hide the last that succeeded.
    """
    store, now = api.store, api.store.clock.now()
    times = {"startTime": NINE, "endTime": NINE + HOUR, "status": "confirmed"}
    await store.database["reservations"].insert_many(
        [{"resource": "r", **times}, {"resource": "r", **times, "endTime": 5}]
    )
    await engine.reconcile_reservations(store, "full")
    row = {"kind": "full", "startedAt": now, "createdAt": now, "finishedAt": now - HOUR}
    await store.database["reconciliations"].insert_many([{**row, "state": "abandoned"}])
    await RunStore(store).enqueue("incremental")
    await store.database["reconciliations"].update_one({"state": "queued"}, {"$set": {"createdAt": now - HOUR}})
    await worker_heartbeat.beat(store, "one:1", "one")
    await worker_heartbeat.beat(store, "two:1", "two")
    await store.database["beats"].update_one({"_id": "one:1"}, {"$set": {"at": now - HOUR}})
    figures = await scraped(api)
    (left_out,) = (value for name, value in figures.items() if "_left_out_full_" in name)

    assert left_out == 1
    assert figures["reserva_reconciliation_success_seconds_full"] >= now.timestamp()
    assert figures["reserva_reconciliation_failure_seconds_full"] == (now - HOUR).timestamp()
    assert "reserva_reconciliation_success_seconds_incremental" not in figures
    assert figures["reserva_reconciliations_queued"] == 1
    assert figures["reserva_reconciliations_queued_seconds"] >= 3600
    assert figures["reserva_workers"] == 1
    assert 0 <= figures["reserva_worker_heartbeat_seconds"] < DEAD_SECONDS


async def test_alerts_in_numbers(api: ApiClient) -> None:
    """Waiting findings, failures and the last success are counted; a reopened finding waits from its reopening."""
    store, now = api.store, api.store.clock.now()
    times = {"startTime": NINE, "endTime": NINE + HOUR, "status": "confirmed"}
    await store.database["reservations"].insert_many([{"resource": name, **times} for name in "rrss"])
    await engine.reconcile_reservations(store, "full")
    old = [{"at": now - 9 * HOUR, "to": "open"}, {"at": now - 5 * HOUR, "to": "resolved"}]
    again = [{"at": now - HOUR, "to": "open"}, {"at": now, "to": "open"}]
    change = {"firstSeen": now - 9 * HOUR, "history": old + again}
    await store.database["findings"].update_one({"resource": "r"}, {"$set": change})
    waiting = await scraped(api)
    await Alerts(Settings(alert_url="http://127.0.0.1:1/")).announce(store)
    failing = await scraped(api)
    async with alert_receiver() as receiver:
        await Alerts(Settings(alert_url=receiver.url)).announce(store)
    done = await scraped(api)

    assert waiting["reserva_findings_untold"] == 2
    assert 3_600 <= waiting["reserva_findings_untold_seconds"] < 7_200
    assert failing["reserva_alert_failures"] == 1
    assert "reserva_alert_success_seconds" not in failing
    assert (done["reserva_findings_untold"], done["reserva_findings_untold_seconds"]) == (0, 0)
    assert done["reserva_alert_failures"] == 0
    assert done["reserva_alert_success_seconds"] >= now.timestamp()


async def test_the_process_in_numbers(api: ApiClient) -> None:
    """The version, the lag of the event loop, the queue and the connections; Redis only where it is set."""
    answer = await api.get("/metrics")
    families = {each.name: each for each in text_string_to_metric_families(answer.text)}
    (build,) = families["reserva_build_info"].samples

    assert build.labels == {"version": version("reserva"), "python": platform.python_version()}
    assert build.value == 1
    assert "reserva_redis_up" not in families
    assert {sample.labels["state"] for sample in families["reserva_mongodb_connections"].samples} == {"used", "idle"}
    assert {"reserva_event_loop_lag_seconds", "reserva_booking_waiting", "reserva_mongodb_checkouts_waiting"} <= {
        *families
    }


async def test_redis_is_asked(api: ApiClient, redis_url: str) -> None:
    """Whether Redis answers, where there is one."""
    for url, expected in ((redis_url, 1), ("redis://127.0.0.1:1/0", 0)):
        async with serving(api.store, settings=Settings(redis_url=url)) as client:
            families = text_string_to_metric_families((await client.get("/metrics")).text)
            (redis,) = (each for each in families if each.name == "reserva_redis_up")

            assert redis.samples[0].value == expected


async def test_only_their_scope_opens_them(api: ApiClient) -> None:
    """And `admin`; every other one is refused by name."""
    other = await api.with_scopes("findings:review", "reservations:admin")
    assert "metrics:read" in problem(await other.get("/metrics"), "forbidden")["detail"]


async def test_keys_that_expire_soon(api: ApiClient) -> None:
    """Those in use are counted, for a key that may read nothing else."""
    scraper = await api.with_scopes("metrics:read")
    keys = {"expiresAt": api.store.clock.now() + timedelta(days=3), "lastUsedAt": api.store.clock.now()}
    before = (await scraped(scraper))["reserva_keys_expiring"]
    await api.store.database["keys"].update_one({"_id": api.prefix}, {"$set": keys})
    try:
        assert (await scraped(scraper))["reserva_keys_expiring"] == before + 1
        problem(await scraper.get("/v1/resources"), "forbidden")
    finally:
        await api.store.database["keys"].update_one({"_id": api.prefix}, {"$unset": {"expiresAt": ""}})


async def test_webhooks_in_numbers(api: ApiClient) -> None:
    """Lag in events and seconds, attempts and missed events of each, and how many are paused; one at rest has none."""
    store, now = api.store, api.store.clock.now()
    behind, paused, resting = [await add_webhook(store, "https://shop.example/") for _ in "123"]
    await log_events(store, 3, at=now - HOUR)
    for webhook, fields in (
        (behind, {"cursor": 1, "delivered": 7, "failed": 2, "missed": 1}),
        (paused, {"pausedAt": now}),
        (resting, {"active": False}),
    ):
        await store.database["webhooks"].update_one({"_id": webhook.id}, {"$set": fields})
    told = Scraped((await api.get("/metrics")).text)

    lags = told.by("reserva_webhook_lag_events", "webhook")
    assert lags == {str(behind.id): 2, str(paused.id): 3}
    seconds = told.by("reserva_webhook_lag_seconds", "webhook")
    assert seconds.keys() == lags.keys()
    assert all(3_600 <= each < 7_200 for each in seconds.values())
    attempts = told.by("reserva_webhook_deliveries_total", "webhook", "outcome")
    assert attempts == {(str(behind.id), "delivered"): 7, (str(behind.id), "failed"): 2}
    assert told.by("reserva_webhook_missed_events_total", "webhook") == {str(behind.id): 1}
    assert told.total("reserva_webhooks_paused") == 1
    assert 3_600 <= told.total("reserva_webhooks_lag_seconds") < 7_200
