"""The rules and the dashboard for Prometheus and Grafana name only what a scrape of the app has, and runbooks exist."""

import json
import re
from collections.abc import Iterator
from typing import Any, get_args

import httpx
import pytest
import yaml

from app.domain.rules import RULES
from app.errors import ProblemName
from app.rates import read_rate
from app.reconciliation import engine
from app.settings import Settings
from app.storage.client import Store
from tests.support.pages import OTHERS, anchors_of, section
from tests.support.scraped import Scraped
from tests.support.servers import ROOT
from tests.support.times import HOUR, NINE

MONITORING = ROOT / "docs" / "monitoring"
RUNNING = OTHERS[ROOT / "docs" / "running.md"]
RULES_FILE = yaml.safe_load((MONITORING / "alerts.yml").read_text(encoding="utf-8"))
DASHBOARD = json.loads((MONITORING / "dashboard.json").read_text(encoding="utf-8"))
ALERTS: list[dict[str, Any]] = [rule for group in RULES_FILE["groups"] for rule in group["rules"]]
PANELS: list[dict[str, Any]] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]

OF_PROMETHEUS = {"job", "instance", "le"}
"""Labels that are not the app's own: those of each scrape, and the bound of a bucket."""
SELECTOR = re.compile(r"(?P<name>[a-z_:][a-z0-9_:]*)\s*(?:\{(?P<labels>[^}]*)\})?(?P<range>\[[^\]]+\])?")
MATCHER = re.compile(r"(?P<label>\w+)\s*(?:=~|!~|!=|=)\s*\"(?P<value>[^\"]*)\"")
KNOWN_VALUES = {
    "problem": {*get_args(ProblemName)},
    "rule": {*RULES},
    "outcome": {"committed", "conflict"},
    "mode": {"strict", "optimistic"},
}
COUNT = "reserva_http_request_seconds_count"
SHOWN = re.compile(r"\{\{\s*(?:\$labels\.)?(\w+)\s*\}\}")


def expressions() -> Iterator[tuple[str, str]]:
    """Every expression, with the texts that show the labels of its result."""
    for alert in ALERTS:
        yield alert["expr"], alert["annotations"]["summary"]
    for panel in PANELS:
        for target in panel["targets"]:
            yield target["expr"], target["legendFormat"]


def selectors(expression: str) -> Iterator[tuple[str, dict[str, str]]]:
    """The metrics of an expression, each with the labels that it matches."""
    for found in SELECTOR.finditer(expression):
        if found["name"].startswith("reserva_") or found["name"] == "up":
            yield found["name"], dict(MATCHER.findall(found["labels"] or ""))


def grouped(expression: str) -> set[str]:
    """The labels that its result is grouped by."""
    return {label.strip() for labels in re.findall(r"\bby\s*\(([^)]*)\)", expression) for label in labels.split(",")}


@pytest.fixture
async def scraped(mock_app_client: httpx.AsyncClient, mock_store: Store) -> Scraped:
    """A scrape of an app that has booked, refused and reconciled."""
    times = {"startTime": NINE, "endTime": NINE + HOUR, "status": "confirmed"}
    await mock_store.database["reservations"].insert_many([{"resource": "r", **times} for _ in "12"])
    await engine.reconcile_reservations(mock_store, "full")
    await mock_app_client.post("/v1/resources", json={"id": "room", "name": "a room"})
    body = {"resource": "room", "startTime": "2030-01-01T09:00:00Z", "endTime": "2030-01-01T10:00:00Z"}
    for _ in "12":
        await mock_app_client.post("/v1/reservations", json=body)
    await mock_app_client.post("/v1/webhooks", json={"url": "https://shop.example/reserva"})
    return Scraped((await mock_app_client.get("/metrics")).text)


async def test_every_name_is_in_a_scrape(scraped: Scraped) -> None:
    """Each metric, each label that is matched, grouped by or shown, and each value of a label that has a fixed set."""
    labels: dict[str, set[str]] = {"up": set(), "reserva_redis_up": set()}
    for sample in scraped.samples:
        labels.setdefault(sample.name, set()).update(sample.labels)
    for expression, shown in expressions():
        metrics = [*selectors(expression)]
        assert metrics, expression
        assert {name for name, _ in metrics} <= labels.keys(), expression
        for name, matched in metrics:
            assert matched.keys() <= labels[name] | OF_PROMETHEUS, expression
            for label, value in matched.items():
                assert label not in KNOWN_VALUES or value in KNOWN_VALUES[label], expression
        there = set[str]().union(*(labels[name] for name, _ in metrics)) | OF_PROMETHEUS
        assert grouped(expression) <= there, expression
        assert {*SHOWN.findall(shown)} - {"value"} <= (grouped(expression) or there), expression


async def test_a_count_is_there_before_it_counts_anything(mock_app_client: httpx.AsyncClient) -> None:
    """A rate does not see the first event of a series that begins with it, so the values that alerts ask for are there.

    Those of whole answers are not: requests by status and route.
    """
    fresh = Scraped((await mock_app_client.get("/metrics")).text)
    for alert in ALERTS:
        for name, matched in selectors(alert["expr"]):
            if name.endswith("_total"):
                assert any(sample.name == name and matched.items() <= sample.labels.items() for sample in fresh.samples)


async def test_that_nothing_happens_is_seen_where_nothing_ever_did(mock_app_client: httpx.AsyncClient) -> None:
    """An alert on what is missing reads something that is there without it: no request and no run has a series yet."""
    there = {sample.name for sample in Scraped((await mock_app_client.get("/metrics")).text).samples} | {"up"}
    read = {alert["alert"]: {name for name, _ in selectors(alert["expr"])} - {COUNT} for alert in ALERTS}
    about_nothing = {"ReservaDown", "ReservaNoRequests", "ReservaReconciliationStopped", "ReservaNoWorker"}

    assert {alert for alert in about_nothing if not read[alert] & there} == set()


def test_one_address_that_guesses_keys_is_noticed() -> None:
    """Its limit lets fewer requests through than the alert would wait for, if that were higher."""
    (expression,) = (alert["expr"] for alert in ALERTS if alert["alert"] == "ReservaKeysGuessed")
    rate = read_rate(Settings().rate_limit_address)

    assert rate is not None
    assert float(expression.rpartition(">")[2]) < rate.count / rate.seconds


def test_a_time_is_a_mean_or_a_quantile() -> None:
    """A panel in seconds shows how long something takes, not how much time of all it takes."""
    for panel in PANELS:
        if panel["fieldConfig"]["defaults"].get("unit") == "s":
            for target in panel["targets"]:
                names = {name for name, _ in selectors(target["expr"])}
                assert {name.replace("_sum", "_count") for name in names if name.endswith("_sum")} <= names


async def test_names_that_are_wrong_are_noticed(scraped: Scraped) -> None:
    """The test reads expressions as they are written: a selector in a function, over a range, with several labels."""
    text = 'histogram_quantile(0.9, sum by (le, route) (rate(reserva_a_bucket{method=~"A|B", x!="1"}[5m] offset 1h)))'

    assert [*selectors(text)] == [("reserva_a_bucket", {"method": "A|B", "x": "1"})]
    assert grouped(text) == {"le", "route"}
    assert "reserva_a_bucket" not in {sample.name for sample in scraped.samples}


async def test_every_metric_is_explained_and_shown(scraped: Scraped) -> None:
    """The guide names each metric of the app, and the dashboard or an alert uses nearly all of them."""
    named = {*re.findall(r"`(reserva_\w+)`", RUNNING)}
    families = {f"{each.name}_total" if each.type == "counter" else each.name for each in scraped.families}
    used = {re.sub(r"_(bucket|sum|count)$", "", name) for text, _ in expressions() for name, _ in selectors(text)}

    assert families - named == set()
    assert len(families - used) < len(families) / 3


def test_each_alert_has_a_runbook() -> None:
    """An alert has a severity, a sentence and a section of its own; a section without an alert is noticed too."""
    titles = re.findall(r"^### (Reserva\w+)$", section("When an alert fires", RUNNING), re.MULTILINE)

    assert [alert["alert"] for alert in ALERTS] == titles
    for alert in ALERTS:
        page, _, anchor = alert["annotations"]["runbook_url"].partition("#")
        assert page == "docs/running.md"
        assert anchor == alert["alert"].lower()
        assert anchor in anchors_of(RUNNING)
        assert alert["annotations"]["summary"].endswith(".")
        assert alert["labels"]["severity"] in {"critical", "warning"}


def test_brackets_are_closed() -> None:
    """Every expression is complete."""
    for expression, _ in expressions():
        bare = re.sub(r'"[^"]*"', '""', expression)
        assert [bare.count(opening) - bare.count(closing) for opening, closing in ("()", "{}", "[]")] == [0, 0, 0]


def test_panels_do_not_overlap() -> None:
    """Panels have ids, titles and places of their own."""
    places = [
        (x, y)
        for panel in DASHBOARD["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]

    assert len(places) == len({*places})
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    assert all(panel["title"] for panel in DASHBOARD["panels"])
