"""`/v1/series`."""

from dataclasses import dataclass
from typing import Any

from litestar import Controller, Response, Router
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from litestar.status_codes import HTTP_200_OK, HTTP_201_CREATED
from typing_extensions import override

from app.access.routes import caller_of, needs
from app.booking import BookedSeries, Replay
from app.http.answers import Encodable, made, stored_response, versioned
from app.http.openapi import problems
from app.http.request import Request
from app.http.request_checks import HARMLESS_KEY, REPLAYED_KEY
from app.http.routing import get, post
from app.reservations.idempotency import RenderedAnswer, rendered, token_of
from app.reservations.rendering import ShownSeries, shown
from app.reservations.schemas import reason_of
from app.reservations.series import AllSeries, shown_new_series, shown_series
from app.reservations.series_moves import StoredSeries
from app.reservations.series_schemas import NewSeries, SeriesAnswer, SeriesMove, SeriesStatusChange

_CREATE = problems("conflict", "hold-limit", "rule", "idempotency-mismatch", "strict-only", body=True, members=True)

_MOVE = problems(
    "not-found",
    "conflict",
    "too-late",
    "hold-expired",
    "forbidden-transition",
    "rule",
    "strict-only",
    body=True,
    members=True,
)
_CONFIRM = problems("not-found", "hold-expired", "forbidden-transition", "strict-only", body=True, members=True)
_CANCEL = problems("not-found", "forbidden-transition", "too-late", "strict-only", body=True, members=True)
_VERB: dict[str, Any] = {
    "guards": [needs("reservations:write")],
    "opt": HARMLESS_KEY,
    "status_code": HTTP_200_OK,
}


class SeriesRoutes(Controller):
    """Reservations that recur."""

    path = "/series"
    tags = ("Series",)

    @post(guards=[needs("reservations:write")], responses=_CREATE, opt=REPLAYED_KEY, operation_id="createSeries")
    async def create(
        self, request: Request, data: JSONBody[NewSeries], series: NamedDependency[AllSeries]
    ) -> Response[SeriesAnswer]:
        """Create a series: a reservation that recurs, in one transaction.

        The rule is read by the clock of `timezone`, so every occurrence keeps its local time when the clocks change: in
        a gap it is later by the gap, of a time that exists twice it is the first. All occurrences are on one resource;
        from a pool that is one which is free for all, or with `skip` for the most. With `refuse` they are booked all or
        none, and a refusal lists `members` as that of a group does, each with its `localStart`. With `skip` an
        occurrence that the rules refuse is in `skipped`, and the series is refused only if there is no other. Every
        occurrence is a reservation like any other. More than one needs a database server with transactions.
        """
        caller = caller_of(request)

        def render(booked: BookedSeries) -> RenderedAnswer:
            answer = shown_new_series(booked, caller)
            return rendered(answer, _location(answer), answer.version)

        token = await token_of(request, caller, render, own_document=True)
        booked = await series.book(data, caller, token)
        if isinstance(booked, Replay):
            return stored_response(booked.answer, replayed=True)
        answer = shown_new_series(booked, caller)
        return versioned(answer, answer.version, status=HTTP_201_CREATED, location=_location(answer))

    @get(
        "/{series_id:str}",
        guards=[needs("reservations:read")],
        responses=problems("not-found"),
        operation_id="getSeries",
    )
    async def read(
        self, request: Request, series_id: FromPath[str], series: NamedDependency[AllSeries]
    ) -> Response[SeriesAnswer]:
        """Get a series with its reservations as they are now.

        A key that is bound to a customer sees a series if all of its reservations are that customer's.
        """
        return await _response(request, await series.read(series_id, caller_of(request)), series)

    @post("/{series_id:str}/move", responses=_MOVE, operation_id="moveSeries", **_VERB)
    async def move(
        self, request: Request, series_id: FromPath[str], data: JSONBody[SeriesMove], series: NamedDependency[AllSeries]
    ) -> Response[SeriesAnswer]:
        """Move the occurrences of a series, or from one on, all or none.

        Those that have begun or ended stay. `localStart` and `localEnd` are those of the first that moves, and the
        others move by as much of their local time, wherever they were moved before. They are judged by the final state
        of all; a refusal lists `members`, by their index among the reservations. Repeating it is harmless. To move one
        alone, update its reservation.
        """
        return await _response(request, await series.move(series_id, data, caller_of(request)), series)

    @post("/{series_id:str}/confirm", responses=_CONFIRM, operation_id="confirmSeries", **_VERB)
    async def confirm(
        self,
        request: Request,
        series_id: FromPath[str],
        series: NamedDependency[AllSeries],
        data: JSONBody[SeriesStatusChange | None] = None,
    ) -> Response[SeriesAnswer]:
        """Confirm the occurrences of a series, or from one on, all or none.

        Those that have ended stay as they are; if one of the holds has expired, none is confirmed. Without
        `reservations:admin`, holds of services with `approval` become requests, as single ones do.
        """
        changed = await series.confirm(series_id, _from(data), caller_of(request), reason_of(data))
        return await _response(request, changed, series)

    @post("/{series_id:str}/cancel", responses=_CANCEL, operation_id="cancelSeries", **_VERB)
    async def cancel(
        self,
        request: Request,
        series_id: FromPath[str],
        series: NamedDependency[AllSeries],
        data: JSONBody[SeriesStatusChange | None] = None,
    ) -> Response[SeriesAnswer]:
        """Cancel the occurrences of a series, or from one on, all or none.

        Those that have begun or ended stay as they are. Repeating it is harmless. To cancel one alone, cancel its
        reservation.
        """
        changed = await series.cancel(series_id, _from(data), caller_of(request), reason_of(data))
        return await _response(request, changed, series)


def _from(change: SeriesStatusChange | None) -> str | None:
    return None if change is None else change.from_


@dataclass(frozen=True, slots=True)
class _EncodedSeries(Encodable):
    """A series as it is sent; `changed_by_time`: it has a hold that has expired since it was stored."""

    json: bytes
    version: int
    changed_by_time: bool

    @override
    def to_json(self) -> bytes:
        """The bytes that go out."""
        return self.json


async def _response(request: Request, found: StoredSeries, series: AllSeries) -> Response[SeriesAnswer]:
    """A series as it is now; one with long histories is encoded in a thread."""
    now = series.store.clock.now()

    def encode() -> _EncodedSeries:
        members = [shown(each, now) for each in found.reservations]
        answer = shown_series(found.series, members)
        return _EncodedSeries(answer.to_json(), answer.version, any(each.changed_by_time for each in members))

    parts = sum(len(each.history) + 1 for each in found.reservations)
    encoded = await made(request.work_pool, encode, parts=parts)
    if encoded.changed_by_time:
        request.mark_changeable()
    return versioned(encoded, encoded.version)


def _location(answer: ShownSeries) -> str:
    return f"/v1/series/{answer.id}"


router = Router("/v1", route_handlers=[SeriesRoutes])
