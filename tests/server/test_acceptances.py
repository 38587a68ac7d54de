"""Acceptances of findings, while reservations and capacities change under many runs, against a model."""

import os
import random
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId

from app.errors import Problem
from app.reconciliation.engine import reconcile_reservations
from app.reconciliation.findings.transitions import FindingTransition, transition
from app.storage.client import Store
from tests.support.acceptance_model import HOURS, Model, stretches
from tests.support.times import HOUR, NINE

RUNS = int(os.environ.get("TEST_CHURN_RUNS", "60"))
"""`TEST_CHURN_RUNS=300` is the long form."""
WORDS: Any = ("accepted", "accepted", "accepted", "acknowledged", "open", "resolved")


class Churn:
    """One resource whose reservations and capacity change, and a clock that can be set forward."""

    def __init__(self, store: Store, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
        self.store = store
        self.dice = random.Random(seed)
        self.booked: dict[str, range] = {}
        self.capacity = 1
        self._past: list[str] = []
        self._later = 0
        true = store.clock.millis
        monkeypatch.setattr(store.clock, "millis", lambda: true() + self._later)

    async def change(self) -> None:
        """Book, cancel, restore or move reservations, let time pass, or seldom change the capacity."""
        for _ in range(self.dice.randrange(3)):
            chance = self.dice.random()
            if len(self.booked) < 3 or (chance < 0.4 and len(self.booked) < 9):
                await self._book(str(ObjectId()))
            elif chance < 0.55:
                await self._cancel(self.dice.choice(list(self.booked)))
            elif chance < 0.65 and self._past:
                await self._book(self._past.pop(self.dice.randrange(len(self._past))))
            elif chance < 0.9:
                await self._book(self.dice.choice(list(self.booked)))
            elif chance < 0.95:
                await self._allow(self.dice.choice((1, 1, 2)))
            else:
                self._later += int(timedelta(hours=1).total_seconds() * 1000)

    async def start(self) -> None:
        """Insert the resource."""
        await self.store.database["resources"].insert_one({"_id": "room", "name": "room", "capacity": 1})

    async def _allow(self, capacity: int) -> None:
        self.capacity = capacity
        change = {"$set": {"capacity": capacity, "updatedAt": self.store.clock.now()}}
        await self.store.database["resources"].update_one({"_id": "room"}, change)

    async def _book(self, name: str) -> None:
        first = self.dice.randrange(HOURS)
        span = range(first, min(first + self.dice.randrange(1, 5), HOURS))
        self.booked[name] = span
        start, end = NINE + span[0] * HOUR, NINE + (span[-1] + 1) * HOUR
        times = {"startTime": start, "endTime": end, "blockStart": start, "blockEnd": end}
        fields = {"resource": "room", "status": "confirmed", "units": 1, "updatedAt": self.store.clock.now(), **times}
        change = {"$set": fields}
        await self.store.database["reservations"].update_one({"_id": ObjectId(name)}, change, upsert=True)

    async def _cancel(self, name: str) -> None:
        del self.booked[name]
        self._past.append(name)
        change = {"$set": {"status": "cancelled", "updatedAt": self.store.clock.now()}}
        await self.store.database["reservations"].update_one({"_id": ObjectId(name)}, change)

    def until(self) -> datetime | None:
        """When an acceptance ends: mostly never, else before long."""
        return self.store.clock.now() + timedelta(minutes=30) if self.dice.random() < 0.2 else None


@pytest.mark.servers("any")
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.promise("acceptances")
async def test_acceptances_hide_only_what_they_name(store: Store, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Over many runs with decisions in between, exactly the accepted reservations are hidden."""
    churn, model = Churn(store, monkeypatch, seed), Model()
    await churn.start()
    findings = store.database["findings"]
    hidden, parted, decided = 0, 0, 0
    for _ in range(RUNS):
        await churn.change()
        run = await reconcile_reservations(store, churn.dice.choice(("full", "incremental", "incremental")))
        assert run.state == "succeeded", run.error
        rows = await findings.find().to_list(None)
        parted += sum("parted from" in row["history"][-1].get("note", "") for row in rows)
        model.check(rows, stretches(churn.booked, churn.capacity), store.clock.now())
        hidden += sum(row["state"] == "accepted" for row in rows)
        standing = [row for row in rows if row["state"] != "resolved"]
        for row in churn.dice.sample(standing, min(len(standing), churn.dice.randrange(3))):
            word = FindingTransition(churn.dice.choice(WORDS), "ann", until=churn.until())
            with suppress(Problem):
                await transition(store, str(row["_id"]), word)
                stored = await findings.find_one({"_id": row["_id"]})
                assert stored is not None
                model.hear(stored, word.to, word.until)
                decided += 1

    assert min(hidden, decided) > RUNS / 10
    assert parted > 0
