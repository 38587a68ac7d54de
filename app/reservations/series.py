"""Series for a caller: booking a reservation that recurs, reading it, and changing its occurrences as one."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

from bson import ObjectId

from app.booking import BookedSeries, BookingService, BookSeries, MembersRefused, Replay, Token, WantedMove
from app.caller import Caller
from app.deadline import LEAST_SECONDS
from app.domain.ids import ResourceId
from app.domain.lifecycle import BLOCKING
from app.errors import Problem, invalid_field, not_found
from app.refusals import refusal
from app.reservations.group_refusals import Occurrences, members_refused, verdict_json
from app.reservations.hold_limits import holds_of
from app.reservations.refusals import MemberPlace
from app.reservations.rendering import ShownReservation, ShownSeries, shown_as_stored
from app.reservations.schemas import ANY
from app.reservations.series_moves import Shift, StoredSeries, check_reference, nothing_to_come
from app.reservations.series_plan import IN_RESERVATION, SeriesPlanner, in_reservation
from app.reservations.series_schemas import NewSeries, SeriesMove
from app.reservations.service import Reservations
from app.storage.client import Store
from app.storage.documents import Reservation, Series
from app.storage.reservations import ReservationStore
from app.storage.rule_cache import RuleReader
from app.storage.values import object_id

ADVISED_MAX = 5
"""For so many occurrences the next free starts are searched."""
_STORED = Occurrences(sent=False)
_IN_MOVE = Occurrences(
    paths={"startTime": "localStart", "endTime": "localEnd", "service": "resource", "guests": "resource"}
)
"""Where the fields of an occurrence are in the body of a move, which has neither service nor guests."""


class AllSeries:
    """What callers do with reservations that recur; each occurrence becomes the intent that it would be alone."""

    def __init__(
        self,
        store: Store,
        booking: BookingService,
        reservations: Reservations,
        planner: SeriesPlanner,
        rules: RuleReader,
    ) -> None:
        self.store = store
        self.rules = rules
        self.booking = booking
        self.reservations = reservations
        self.planner = planner

    async def book(self, wanted: NewSeries, caller: Caller, token: Token[BookedSeries] | None) -> BookedSeries | Replay:
        """Book a series; a request whose token was answered before gets that answer.

        Raises:
            Problem: `conflict`, `rule`, `invalid`, `hold-limit`, `strict-only`, or what the write path raises.
        """
        try:
            intent = await self.planner.intent_of(wanted, caller, token)
        except Problem as problem:
            return await self.reservations.replayed_answer(token, problem)

        async def book(seconds: float) -> BookedSeries | Replay:
            return await self._book(intent, seconds, skips=wanted.on_conflict == "skip")

        try:
            with in_reservation():
                made = await self.reservations.holds.book_within(holds_of(intent.members), book)
        except MembersRefused as refused:
            raise await self._refusal(refused, intent, caller) from None
        except Problem as problem:
            if problem.name != "hold-limit":
                raise
            return await self.reservations.replayed_answer(token, problem)
        if isinstance(made, BookedSeries):
            self.reservations.report_writes(made.reservations[:1])  # all are on one resource
            await self.reservations.clear_if_erased(made.reservations)
        return made

    async def _book(self, intent: BookSeries, seconds: float, *, skips: bool) -> BookedSeries | Replay:
        """Book all occurrences; where they are not free and it `skips`, those that are free by then.

        The first attempt tells which starts to look for instead: the answer must be complete when it is stored.
        """
        until = time.monotonic() + seconds
        intent.deadline_seconds = seconds
        try:
            return await self.booking.book_several(intent)
        except MembersRefused as refused:
            if not skips or len(refused.members) == len(intent.members):
                raise
            advice = await self._advice(refused, _places_of(intent))
        intent.skips, intent.advice = True, advice
        intent.deadline_seconds = max(until - time.monotonic(), LEAST_SECONDS)
        return await self.booking.book_several(intent)

    async def _refusal(self, refused: MembersRefused, intent: BookSeries, caller: Caller) -> Problem:
        """The problem of a series that is refused, with advice for the first occurrences whose time is taken."""
        occurrences = replace(IN_RESERVATION, local_starts=[each.local_start for each in intent.series.occurrences])
        uncreated = {str(member.reservation) for member in intent.members}
        advice = await self._advice(refused, _places_of(intent))
        return members_refused(refused, occurrences, caller, uncreated=uncreated, next_free=advice)

    async def _advice(self, refused: MembersRefused, places: Sequence[MemberPlace]) -> Mapping[int, list[str]]:
        """The next free starts of the first occurrences whose time alone is taken, by their indexes."""
        taken = [
            (index, reason)
            for index, reason in refused.members
            if isinstance(reason, Problem) or reason.verdict.is_conflict
        ]
        return await self.reservations.refusals.next_free_of(MembersRefused(taken[:ADVISED_MAX]), places)

    async def read(self, identity: str, caller: Caller) -> StoredSeries:
        """A series. A key that is bound to a customer sees it if all of its reservations are that customer's.

        Raises:
            Problem: `not-found`, also where the caller may not see it.
        """
        known, store = object_id(identity), ReservationStore(self.store)
        series = None if known is None else await store.find_series(known)
        if series is None:
            raise not_found("series", identity)
        starts: dict[ObjectId, str] = {
            each.reservation: each.local_start for each in series.occurrences if each.reservation is not None
        }
        found = await store.find_shown([*starts])
        if not found or not all(caller.sees(reservation.customer) for reservation in found.values()):
            raise not_found("series", identity)
        return StoredSeries(series, [*found.values()], [starts[each] for each in found])

    async def cancel(self, identity: str, from_: str | None, caller: Caller, reason: str | None) -> StoredSeries:
        """Cancel the occurrences from one on that have neither begun nor ended, all or none.

        Raises:
            Problem: `not-found`, `invalid`, `forbidden-transition`, `too-late`, or what the write path raises.
        """
        found = await self.read(identity, caller)
        first = found.place_of(from_)
        places = found.upcoming(first, self.store.clock.millis())
        if not places:
            if all(each.status != "cancelled" for each in found.reservations[first:]):
                raise nothing_to_come("cancelled")
            return found
        admin = caller.may("reservations:admin")
        return await self._changed(
            found,
            places,
            caller,
            lambda ids: self.booking.close_all(ids, "cancelled", by=caller.prefix, admin=admin, reason=reason),
        )

    async def confirm(self, identity: str, from_: str | None, caller: Caller, reason: str | None) -> StoredSeries:
        """Confirm the occurrences from one on that have not ended, or none: an expired hold refuses all.

        Without `reservations:admin` a hold of a service with approval becomes a request, and a request refuses all.

        Raises:
            Problem: `not-found`, `invalid`, `hold-expired`, `forbidden-transition`, `forbidden`, or what the write path
                raises.
        """
        found = await self.read(identity, caller)
        places = [*range(found.place_of(from_), len(found.reservations))]
        admin = caller.may("reservations:admin")
        confirmed = await self._changed(
            found,
            places,
            caller,
            lambda ids: self.booking.confirm_all(ids, by=caller.prefix, admin=admin, reason=reason),
        )
        if all(confirmed.reservations[place].status not in BLOCKING for place in places):
            raise nothing_to_come("confirmed")
        return confirmed

    async def move(self, identity: str, wanted: SeriesMove, caller: Caller) -> StoredSeries:
        """Move the occurrences from one on that have neither begun nor ended, all or none, by the same local time.

        Raises:
            Problem: `not-found`, `conflict`, `rule`, `invalid`, `forbidden-transition`, `too-late`, `forbidden`, or
                what the write path raises.
        """
        if wanted.local_start is None and wanted.local_end is None and wanted.resource is None:
            raise Problem("invalid", "Say where the occurrences go: `localStart`, `localEnd` or `resource`.")
        if wanted.resource == ANY:
            raise invalid_field("resource", "A series moves to one resource; name it, or move its reservations singly.")
        found, now = await self.read(identity, caller), self.store.clock.millis()
        first = found.place_of(wanted.from_)
        lasting, places = found.lasting(first, now), found.upcoming(first, now)
        if not places:
            raise nothing_to_come("moved")
        if wanted.local_start is not None or wanted.local_end is not None:
            check_reference(found, lasting[0], now)
        moving = [found.reservations[place] for place in places]
        services = {each.service for each in moving if each.service is not None}
        rules = await self.rules.read((), services)
        shift = Shift(wanted, moving, found.rule_time, found.tz, rules.services)
        moves = [WantedMove(each.id, shift.patch(each), pool=(), version=None) for each in moving]
        moved = await self._changed(
            found,
            places,
            caller,
            lambda _: self.booking.move(
                moves,
                by=caller.prefix,
                admin=caller.may("reservations:admin"),
                bound=caller.customer is not None,
                reason=wanted.reason,
            ),
            in_request=_IN_MOVE,
            resource=wanted.resource,
        )
        self.reservations.report_writes([moved.reservations[place] for place in places])
        return moved

    async def _changed(
        self,
        found: StoredSeries,
        places: Sequence[int],
        caller: Caller,
        change: Callable[[Sequence[ObjectId]], Awaitable[list[Reservation] | Replay]],
        *,
        in_request: Occurrences = _STORED,
        resource: ResourceId | None = None,
    ) -> StoredSeries:
        """The series after a change of the occurrences at some places.

        Raises:
            Problem: with the occurrences that are in the way.
        """
        try:
            changed = await change([found.reservations[place].id for place in places])
        except MembersRefused as refused:
            members = MembersRefused([(places[index], reason) for index, reason in refused.members])
            where = [MemberPlace(each.id, each.service, [resource or each.resource]) for each in found.reservations]
            occurrences = replace(in_request, local_starts=found.local_starts)
            advice = await self._advice(members, where)
            raise members_refused(members, occurrences, caller, next_free=advice) from None
        if isinstance(changed, Replay):  # pragma: no cover  # only an intent with a token is replayed
            raise TypeError("an intent without a key was replayed")
        by_place = dict(zip(places, changed, strict=True))
        reservations = [by_place.get(place, each) for place, each in enumerate(found.reservations)]
        return replace(found, reservations=reservations)


def _places_of(intent: BookSeries) -> list[MemberPlace]:
    """Where the occurrences of a series would be: on the resource of the answer."""
    resources = [] if intent.resource is None else [intent.resource]
    return [MemberPlace(member.reservation, member.service, resources) for member in intent.members]


def shown_new_series(booked: BookedSeries, caller: Caller) -> ShownSeries:
    """A series as it was booked, with the reasons for what was left out, as far as the caller may read them."""
    occurrences = booked.series.occurrences
    skipped: list[Mapping[str, object]] = []
    for index, reason in booked.skipped:
        problem = refusal(reason, caller)
        shown = {"localStart": occurrences[index].local_start, **verdict_json(problem, uncreated=())}
        if problem.name == "conflict" and index in booked.advice:
            shown["nextFree"] = booked.advice[index]
        skipped.append(shown)
    return _shown(booked.series, shown_as_stored(booked.reservations), skipped)


def shown_series(series: Series, reservations: Sequence[ShownReservation]) -> ShownSeries:
    """A stored series with its reservations as they read now."""
    skipped = [{"localStart": each.local_start} for each in series.occurrences if each.reservation is None]
    return _shown(series, reservations, skipped)


def _shown(
    series: Series, reservations: Sequence[ShownReservation], skipped: Sequence[Mapping[str, object]]
) -> ShownSeries:
    fields: dict[str, object] = {"rule": series.rule, "timezone": series.timezone}
    if series.except_ is not None:
        fields["except"] = series.except_
    return ShownSeries(str(series.id), fields, reservations, skipped)
