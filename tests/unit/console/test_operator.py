"""The operator's figures: read from the metrics, and judged."""

from typing import Any

import pytest

from app.console.operator import Fact, Figures, Share, cards
from app.operations.service import Readiness

GOOD: dict[str, Any] = {"database": "ok", "indexes": "ok", "redis": "ok", "relay": "ok", "last_reconciliation": None}


def facts(mode: Any = "strict", reason: str | None = None, samples: Any = None, **states: Any) -> dict[str, Fact]:
    """The facts of all cards, by name."""
    readiness = Readiness(mode, reason, **{**GOOD, **states})
    return {fact.name: fact for _, each in cards(readiness, Figures(samples or {})) for fact in each}


def test_sums_and_shares() -> None:
    """Samples are summed by a label; the largest part is the whole bar, and what is 0 is left out."""
    refusals = [("capacity", 30.0), ("notice", 10.0), ("notice", 5.0), ("horizon", 0.0)]
    figures = Figures({"refusals": [({"rule": rule}, count) for rule, count in refusals]})

    assert figures.by("refusals", "rule") == {"capacity": 30.0, "notice": 15.0}
    assert figures.shares("refusals", "rule") == [Share("capacity", 30, 100), Share("notice", 15, 50)]
    assert figures.shares("none", "rule") == []
    assert (figures.one("none"), figures.label("none", "version")) == (0.0, "")


@pytest.mark.parametrize(
    ("sample", "value", "fact", "mood"),
    [
        ("reserva_workers", 1.0, "workers", "good"),
        ("reserva_workers", 0.0, "workers", "bad"),
        ("reserva_findings_open", 2.0, "findings", "warn"),
        ("reserva_alert_failures", 1.0, "alerts", "bad"),
        ("reserva_events_waiting_seconds", 119.0, "lag", "good"),
        ("reserva_events_waiting_seconds", 121.0, "lag", "warn"),
        ("reserva_reconciliations_queued_seconds", 121.0, "queued", "warn"),
        ("reserva_webhooks_lag_seconds", 3_600.0, "hooks_lag", "warn"),
        ("reserva_webhooks_paused", 1.0, "hooks_paused", "bad"),
        ("reserva_keys_expiring", 1.0, "expiring", "warn"),
    ],
)
def test_figures_are_judged(sample: str, value: float, fact: str, mood: str) -> None:
    """What needs somebody is marked, what is as it should be as well."""
    assert facts(samples={sample: [({}, value)]})[fact].mood == mood


def test_problems_are_judged_by_who_is_to_blame() -> None:
    """An internal error is bad, being busy is worth a warning, a client above its limit is neither."""
    problems = [({"problem": "internal"}, 1.0), ({"problem": "overloaded"}, 2.0), ({"problem": "rate-limited"}, 9.0)]

    found = facts(samples={"reserva_http_problems_total": problems})

    assert [found[name].mood for name in ("internal", "busy", "limited")] == ["bad", "warn", "plain"]
    assert [found[name].value for name in ("internal", "busy", "limited")] == [1.0, 2.0, 9.0]


def test_readiness_is_judged() -> None:
    """A process that is not ready, and one that can double-book, are marked."""
    found = facts("optimistic", "The database does not answer.", database="failed", indexes="unknown", redis="degraded")

    moods = {name: found[name].mood for name in ("ready", "mode", "database", "indexes", "redis")}
    assert moods == {"ready": "bad", "mode": "warn", "database": "bad", "indexes": "warn", "redis": "warn"}
    assert facts(redis="unset")["redis"].mood == "plain"
