"""The problems of refused bookings. A crowd that wants one slot shares them: one is made and encoded for each batch.

The intents of a batch that ask the same get one `Refused`, so what is made of it is the answer to all of them, except
for callers that may read less. Its advice is searched for after the batch has ended and is no older than the refusal.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from bson import ObjectId

from app.availability.service import Availability
from app.booking import DEADLINE_SECONDS, MembersRefused, Refused
from app.caller import Caller
from app.deadline import within
from app.domain.ids import ResourceId, ServiceId
from app.domain.instants import Millis, render, to_millis
from app.domain.rules import BookingRequest, Verdict
from app.errors import Problem
from app.http.problems import encode
from app.refusals import refusal
from app.single_flight import SingleFlight
from app.storage.documents import Reservation

_Key: TypeAlias = tuple[Refused, bool, str | None]
"""A refusal, and what of it its caller may read."""


@dataclass(frozen=True, slots=True)
class MemberPlace:
    """A member of a group or move: its reservation, its service, and the resources on which it may be."""

    reservation: ObjectId
    service: ServiceId | None
    resources: Sequence[ResourceId]


class Refusals:
    """Makes the problems; `availability` finds the next free starts."""

    def __init__(self, availability: Availability) -> None:
        self._availability = availability
        self._shared: SingleFlight[_Key, Problem] = SingleFlight()

    async def problem(
        self, refused: Refused, caller: Caller, service: ServiceId | None, resources: Sequence[ResourceId]
    ) -> Problem:
        """The refusal, with the next free starts where only the time is taken.

        Callers share the problem: each raises it at once, and nobody changes it.
        """

        async def make() -> Problem:
            problem = refusal(refused, caller)
            if problem.name == "conflict":
                problem.extra["nextFree"] = await self._next_free(refused.verdict.request, service, resources)
            problem.encoded = encode(problem)
            return problem

        task = self._shared.task((refused, caller.may("reservations:read"), caller.customer), make)
        await asyncio.wait([task], timeout=within(DEADLINE_SECONDS))
        if task.done():
            return task.result().with_traceback(None)  # else the frames of all callers would pile up
        late = refusal(refused, caller)
        if late.name == "conflict":
            late.extra["nextFree"] = []
        return late

    async def with_next_free(self, problem: Problem, stored: Reservation) -> Problem:
        """The problem, with the next free starts where a hold has expired."""
        if problem.name == "hold-expired":
            request = BookingRequest(to_millis(stored.start_time), to_millis(stored.end_time), stored.guests)
            problem.extra["nextFree"] = await self._next_free(request, stored.service, [stored.resource])
        return problem

    async def next_free_of(self, refused: MembersRefused, members: Sequence[MemberPlace]) -> Mapping[int, list[str]]:
        """The next free starts of each member that the capacity alone refuses, by its index.

        There is no advice where a member has a problem of its own, which is answered then.
        """
        if any(isinstance(reason, Problem) for _, reason in refused.members):
            return {}
        conflicts = {
            index: reason.verdict
            for index, reason in refused.members
            if isinstance(reason, Refused) and reason.verdict.is_conflict
        }
        together = {member.reservation for member in members}
        found = await asyncio.gather(
            *(
                self._next_free(_behind(verdict, together), members[index].service, members[index].resources)
                for index, verdict in conflicts.items()
            )
        )
        return dict(zip(conflicts, found, strict=True))

    async def _next_free(
        self, request: BookingRequest, service: ServiceId | None, resources: Sequence[ResourceId]
    ) -> list[str]:
        return [render(start) for start in await self._availability.next_free(request, service, resources)]


def _behind(verdict: Verdict, together: Collection[ObjectId]) -> BookingRequest:
    """The refused request, where it is in the way of others of `together` moved behind them.

    Where they will be is not stored, so a search from its own start would find that start free.
    """
    request = verdict.request
    ends = [taken.end for taken in verdict.conflicts if taken.id in together]
    start = Millis(max([request.start, *(end + request.start - verdict.block_start for end in ends)]))
    return replace(request, start=start, end=Millis(start + request.end - request.start))
