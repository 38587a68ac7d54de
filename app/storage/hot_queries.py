"""The queries that bookings and the worker rest on, and whether the server answers them from an index.

Each is made by the code that sends it, so that a change of a query changes what is explained.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from app.domain.ids import ResourceId
from app.domain.instants import DAY, HOUR, Millis, from_millis
from app.storage.bson_types import Filter
from app.storage.capabilities import stages_of
from app.storage.client import Store
from app.storage.conflict_lookup import BRANCHES_MAX, read
from app.storage.documents import CalendarAddress, Finding, Reservation, Run
from app.storage.event_log import at_places
from app.storage.event_placing import EVENTS
from app.storage.findings import UNALERTED
from app.storage.reach import Reach
from app.storage.reservation_steps import read_answers_of_reservations
from app.storage.reservation_transitions import lapsed_holds
from app.storage.runs import queued_runs
from app.storage.span import Span
from app.storage.steps import Step

_RESERVATIONS = Reservation.Settings.name
_NOBODY = "doctor:nobody"
"""A key that no client has."""


@dataclass(frozen=True, slots=True)
class HotQuery:
    """A query that must not read a whole collection; `name` says what it is for."""

    name: str
    collection: str
    where: Filter


async def hot_queries(store: Store) -> list[HotQuery]:
    """The hot queries, as this server is sent them, for the resource that was booked last."""
    newest = await store.database[_RESERVATIONS].find_one({}, {"resource": 1}, sort=[("_id", -1)])
    resource = newest.get("resource") if newest else None
    now = store.clock.millis()
    lookup = _conflict_lookup(store, ResourceId(resource if isinstance(resource, str) else _NOBODY), now)
    replay = read_answers_of_reservations([_NOBODY])
    return [
        *(_query("the conflict lookup of a booking", step) for step in lookup),
        _query("the lookup of an Idempotency-Key", replay),
        HotQuery("the search for holds that expired", _RESERVATIONS, lapsed_holds(from_millis(now))),
        HotQuery("the list of changes", _RESERVATIONS, {"updatedAt": {"$gte": from_millis(now)}}),
        HotQuery("the pages of events", EVENTS, at_places([0, 1])),
        HotQuery("the search for the events of a reservation", EVENTS, {"subject": _NOBODY}),
        HotQuery("the search for the events of a customer", EVENTS, {"state.customer": _NOBODY}),
        HotQuery("the search for findings to be told", Finding.Settings.name, {**UNALERTED}),
        HotQuery("the search for runs that wait", Run.Settings.name, queued_runs()),
        HotQuery("the calendar at a secret address", CalendarAddress.Settings.name, {"secretHash": _NOBODY}),
    ]


async def is_scan(store: Store, query: HotQuery) -> bool:
    """Whether the server would read the whole collection.

    Raises:
        pymongo.errors.OperationFailure: the server does not explain it.
    """
    asked = {"explain": {"find": query.collection, "filter": query.where}, "verbosity": "queryPlanner"}
    explanation = await store.database.command(asked)
    return "COLLSCAN" in set(stages_of(explanation["queryPlanner"]["winningPlan"]))


def _conflict_lookup(store: Store, resource: ResourceId, now: Millis) -> Iterator[Step]:
    """The finds of a booking of an hour a day ahead, where long blocks are there, and where those of other programs."""
    span = Span(resource, Millis(now + DAY), Millis(now + DAY + HOUR))
    for reach in (Reach(back=HOUR, ahead=HOUR, long=True), Reach(back=HOUR, foreign=True)):
        body = read([span], {resource: reach}, BRANCHES_MAX if store.shape == "or" else 1)
        with suppress(StopIteration):
            yield next(body)
            while True:
                yield body.send([])


def _query(name: str, step: Step) -> HotQuery:
    [where] = step.arguments
    if not isinstance(where, dict):
        raise TypeError(f"the step {step.name} has no filter")
    return HotQuery(name, step.collection, where)
