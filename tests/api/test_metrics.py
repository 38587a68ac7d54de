"""`/metrics`: what Prometheus reads."""

from datetime import timedelta

from prometheus_client.parser import text_string_to_metric_families

from app.reconciliation import service
from tests.visitor import HOUR, NINE, Visitor, problem


async def scraped(visitor: Visitor) -> dict[str, float]:
    """The samples by name, with their kind where they have one."""
    answer = await visitor.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    families = text_string_to_metric_families(answer.text)
    return {
        "_".join([sample.name, *sample.labels.values()]): sample.value for each in families for sample in each.samples
    }


async def test_findings_and_runs_in_numbers(visitor: Visitor) -> None:
    """The mode, open findings and the age of the oldest; duration and rows of the last run of each kind."""
    store = visitor.store
    mode = {"reserva_mode_optimistic": 1, "reserva_mode_strict": 0}
    assert await scraped(visitor) == mode | {"reserva_findings_open": 0, "reserva_findings_oldest_seconds": 0}
    times = {"startTime": NINE, "endTime": NINE + HOUR}
    await store.database["reservations"].insert_many([{"resource": "r", "status": "confirmed", **times} for _ in "12"])
    await service.reconcile_reservations(store, "full")
    old = {"firstSeen": store.clock.now() - timedelta(hours=1)}
    await store.database["findings"].update_many({}, {"$set": old})
    figures = await scraped(visitor)

    assert figures["reserva_findings_open"] == 1
    assert figures["reserva_findings_oldest_seconds"] >= 3600
    assert figures["reserva_reconciliation_rows_full"] == 2
    assert figures["reserva_reconciliation_seconds_full"] >= 0


async def test_only_administrators_read_them(visitor: Visitor) -> None:
    """Every other scope is refused by name."""
    other = await visitor.other("findings:review", "reservations:admin")
    assert "admin" in problem(await other.get("/metrics"), "forbidden")["detail"]
