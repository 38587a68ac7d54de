"""What the callers of a crowd are told that one judgement refused."""

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest

from app.booking import Refused
from app.caller import Caller
from app.deadline import Deadline, bound
from app.domain.instants import Millis, render, to_millis
from app.domain.load import Calendar, Occupancy
from app.domain.rules import BookingRequest, ResourceRules, judge
from app.errors import Problem
from app.refusals import refusal
from app.reservations.refusals import Refusals
from tests.support.ids import ROOM_ID
from tests.support.times import HOUR, NINE

START, END = to_millis(NINE), to_millis(NINE + HOUR)
ADMIN, WRITER = Caller("admin", frozenset({"admin"})), Caller("writer", frozenset({"reservations:write"}))
ADA, BOB = (
    Caller(f"key of {name}", frozenset({"reservations:read", "reservations:write"}), customer=name)
    for name in ("ada", "bob")
)


class Advice:
    """Stands for the search of free starts: counts the questions, and answers once it is told to."""

    def __init__(self) -> None:
        self.questions = 0
        self.known = asyncio.Event()

    async def next_free(self, *question: Any) -> Sequence[Millis]:
        """One start."""
        del question
        self.questions += 1
        await self.known.wait()
        return [END]


def refused_by_ada(capacity: int = 1) -> Refused:
    """The refusal of a request for an hour of which Ada has the most."""
    taken = Occupancy("one", START, END, own_start=START, own_end=END, customer="ada")
    room = ResourceRules(ROOM_ID, capacity=capacity, active=capacity > 0)
    return Refused(judge(BookingRequest(START, END), room, None, Calendar(START, [taken])))


async def told(advice: Advice, *asked: tuple[Refused, Caller]) -> list[Problem]:
    """The problems of these callers, who ask at the same moment."""
    refusals = Refusals(cast("Any", advice))
    asking = [asyncio.create_task(refusals.problem(refused, who, None, [ROOM_ID])) for refused, who in asked]
    await asyncio.sleep(0)
    advice.known.set()
    return await asyncio.gather(*asking)


async def test_callers_who_may_read_the_same_share_one_problem() -> None:
    """It is made, encoded and advised once, and is what each would have been told alone."""
    advice, refused = Advice(), refused_by_ada()
    first, second, third = await told(advice, (refused, ADMIN), (refused, ADMIN), (refused, ADMIN))

    assert first is second is third
    assert advice.questions == 1
    assert first.encoded is not None
    assert first.extra == refusal(refused, ADMIN).extra | {"nextFree": [render(END)]}


async def test_nobody_is_told_what_only_others_may_read() -> None:
    """Who may not read reservations, or has a key for another customer, sees the times alone."""
    callers = (ADMIN, WRITER, ADA, BOB)
    refused = refused_by_ada()
    problems = await told(Advice(), *((refused, who) for who in callers))

    assert [("reservation" in problem.extra["conflicts"][0]) for problem in problems] == [True, False, True, False]


async def test_each_judgement_has_a_problem_of_its_own() -> None:
    """Also if it says the same: its advice must not be older than it is."""
    advice = Advice()
    first, second = await told(advice, (refused_by_ada(), ADMIN), (refused_by_ada(), ADMIN))

    assert first is not second
    assert advice.questions == 2


async def test_a_request_that_ends_before_the_advice_is_refused_without_it() -> None:
    """The refusal itself is known; another caller, who has more time, gets the advice."""
    advice, refused = Advice(), refused_by_ada()
    refusals = Refusals(cast("Any", advice))
    patient = asyncio.create_task(refusals.problem(refused, ADMIN, None, [ROOM_ID]))
    with bound(Deadline(0)):
        hasty = await refusals.problem(refused, ADMIN, None, [ROOM_ID])
    advice.known.set()

    assert hasty.extra["nextFree"] == []
    assert (await patient).extra["nextFree"] == [render(END)]


@pytest.mark.parametrize(("capacity", "questions"), [(1, 1), (0, 0)])
async def test_only_a_conflict_has_advice(capacity: int, questions: int) -> None:
    """A rule says no at any time."""
    advice = Advice()
    (problem,) = await told(advice, (refused_by_ada(capacity), ADMIN))

    assert ("nextFree" in problem.extra, advice.questions) == (bool(questions), questions)
