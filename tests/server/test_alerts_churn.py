"""Alerts among random events: what the receiver gets, compared with what was open."""

import asyncio
import random
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest
from bson import ObjectId

from app.reconciliation import alerts, messages
from app.reconciliation.alerts import Alerts
from app.settings import Settings
from app.storage.client import Store
from tests.support import alert_receiver as theirs
from tests.support.alert_findings import ManualClock, insert_open_findings, unalerted_count
from tests.support.alert_receiver import alert_receiver, answer_with

pytestmark = pytest.mark.servers("fast")

STEPS = 100
SEEDS = range(2)
RECENT = 4
"""How many of the newest findings change state, so that some change back while a message is in flight."""
AGAIN = {"$set": {"state": "open"}, "$unset": {"toldAt": "", "alert": ""}, "$inc": {"version": 1}}


@dataclass(slots=True)
class World:
    """Findings, their true states, and how many accepted messages named each since it was last opened.

    `in_vain` counts the messages that the receiver took without an answer; their sender has to repeat them.
    """

    store: Store
    hook: theirs.Receiver
    chance: random.Random
    states: dict[ObjectId, str] = field(default_factory=dict)
    sent: Counter[ObjectId] = field(default_factory=Counter)
    in_vain: int = 0
    wrong: list[str] = field(default_factory=list)

    async def event(self) -> None:
        """Open a new finding, or reopen, settle or enlarge one."""
        among = list(self.states)[-RECENT:]
        one = self.chance.choice(among) if among else None
        if one is None or self.chance.random() < 0.2:
            (made,) = await insert_open_findings(self.store, "r")
            self.states[made] = "open"
        elif self.states[one] != "open":
            self.states[one] = "open"
            self.sent[one] = 0
            await self.change(one, AGAIN)
        elif self.chance.random() < 0.5:
            self.states[one] = self.chance.choice(["resolved", "acknowledged"])
            await self.change(one, {"$set": {"state": self.states[one]}, "$inc": {"version": 1}})
        else:
            await self.change(one, {"$inc": {"version": 1, "peak": 1}})

    async def change(self, identity: ObjectId, change: dict[str, Any]) -> None:
        """Update a finding."""
        await self.store.database["findings"].update_one({"_id": identity}, change)

    async def answer(self, writer: asyncio.StreamWriter) -> None:
        """Record findings that are not open, let events happen, and answer with success, a failure or nothing."""
        named = [ObjectId(name) for name in re.findall(r"\(finding (\w+)\)", self.hook.requests[-1].text)]
        self.wrong += [f"{each} is {self.states[each]}" for each in named if self.states[each] != "open"]
        mood = self.chance.choice(["good", "good", "bad", "none"])
        if mood == "good":
            self.sent.update(named)
            self.wrong += [f"{each} was sent again" for each in named if self.sent[each] > 1]
        elif mood == "none":
            self.in_vain += 1
        for _ in range(self.chance.randrange(6)):
            await self.event()
        if mood != "none":
            await answer_with(200 if mood == "good" else 503)(writer)


@pytest.mark.parametrize("seed", SEEDS)
async def test_alerts_follow_random_events(
    store: Store, clock: ManualClock, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No settled finding is sent, none is sent twice unless an answer was lost, and in the end all open ones are."""
    monkeypatch.setattr(messages, "LINES_MAX", 10**6)
    monkeypatch.setattr(alerts, "LINES_MAX", 10**6)
    monkeypatch.setattr(messages, "CHARACTERS_MAX", 10**9)
    chance = random.Random(seed)
    async with alert_receiver() as hook:
        world = World(store, hook, chance)
        hook.answer = world.answer
        senders = [Alerts(Settings(alert_url=hook.url)) for _ in "12"]
        for _ in range(STEPS):
            await world.event()
            clock.advance(chance.randrange(100_000))
            await asyncio.gather(*(sender.announce(store) for sender in senders if chance.random() < 0.7))
        while await unalerted_count(store):
            clock.advance(300_000)
            await senders[0].announce(store)

    assert world.wrong == []
    assert world.in_vain
    assert {each for each, state in world.states.items() if state == "open" and world.sent[each] != 1} == set()
