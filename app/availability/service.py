"""Slots, explanations and the next free starts: all by `rules.judge`, which is what booking asks as well."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from heapq import merge
from zoneinfo import ZoneInfo

from bson import ObjectId
from pymongo.errors import PyMongoError

from app.access.caller import Caller
from app.availability.queries import Place, read_occupancies, read_places
from app.errors import Fault, Problem, invalid
from app.reservations.queries import read_reservation
from app.storage.client import Store
from app.storage.rule_cache import RuleReader
from app.timeline.grid import STARTS_MAX
from app.timeline.instants import DAY, MINUTE, Millis, to_millis
from app.timeline.load import Profile
from app.timeline.rules import LONGEST, Offer, Verdict, Wish, block_of, judge
from app.timeline.schedule_json import read_span
from app.timeline.slots import Asked, Slot, count, slots
from app.timeline.zones import ONE_DAY, day_of, next_day, start_of_day, zone

SPAN_DAYS = 92
NEXT_FREE = 3
NEXT_FREE_DAYS = 7


@dataclass(frozen=True, slots=True)
class Question:
    """What a client wants to know; everything as it stands in the query."""

    service: str | None
    resource: str | None
    from_: str
    to: str
    timezone: str | None = None
    guests: int = 1
    minutes: int | None = None
    days: int | None = None
    ignore: str | None = None


class Availability:
    """When something can be booked, and which rule says no."""

    def __init__(self, store: Store, rules: RuleReader) -> None:
        self.store = store
        self.rules = rules
        self._asking: dict[tuple[Wish, str | None, tuple[str, ...]], asyncio.Task[list[Millis]]] = {}

    async def slots(self, question: Question, caller: Caller) -> tuple[ZoneInfo, list[Slot]]:
        """The slots that start in a span, by start, then resource, and the zone that the answer is in.

        Raises:
            Problem: `invalid`, before anything but the catalogue is read.
        """
        offer, places = await self._places(question.service, question.resource)
        asked = _asked(question, offer)
        tz = _answer_zone(question, places)
        after, before = _span(question, tz)
        if sum(count(place.room, offer, asked, after, before) for place in places) > STARTS_MAX:
            raise invalid("?to", f"More than {STARTS_MAX:,} starts would have to be judged; ask for a shorter span.")
        asked = replace(asked, ignore=await self._ignored(question.ignore, caller))
        profiles = await self._profiles(places, offer, asked, after, before)

        def judged() -> list[Slot]:
            each = [slots(place.room, offer, asked, profiles[place.room.id], after, before) for place in places]
            return list(merge(*each, key=lambda slot: (slot.start, slot.resource)))

        # Beside the loop, so that a long answer keeps nobody's booking waiting.
        return tz, await asyncio.to_thread(judged)

    async def explain(
        self, resource: str, service: str | None, start: datetime, end: datetime | None, guests: int
    ) -> Verdict:
        """Every rule's verdict on one time.

        Raises:
            Problem: `invalid`.
        """
        offer, places = await self._places(service, resource)
        place = places[0]
        begin = to_millis(start)
        finish = to_millis(end) if end is not None else _end(begin, offer, zone(place.room.timezone))
        if finish <= begin:
            raise invalid("?endTime", "`endTime` must lie after `startTime`.")
        if finish - begin > LONGEST:
            raise invalid("?endTime", f"A reservation lasts at most {LONGEST // DAY} days.")
        block = block_of(begin, finish, offer)
        occupancies = (await read_occupancies(self.store, places, *block))[resource]
        calendar = Profile(self.store.clock.millis(), occupancies)
        return judge(Wish(begin, finish, guests), place.room, offer, calendar)

    async def next_free(self, wish: Wish, service: str | None, resources: Sequence[str]) -> list[Millis]:
        """Up to three starts on the grid, from the wished one to 7 days on, that are free for the same request.

        Of a crowd that was refused the same time, one asks and all are told.
        """
        question = (wish, service, tuple(resources))
        task = self._asking.get(question)
        if task is None:
            task = self._asking[question] = asyncio.create_task(self._next_free(*question))
            task.add_done_callback(lambda _: self._asking.pop(question, None))
        try:
            return await asyncio.shield(task)
        except PyMongoError:
            return []  # a refusal stands without advice

    async def _next_free(self, wish: Wish, service: str | None, resources: Sequence[str]) -> list[Millis]:
        offer, places = await read_places(self.store, self.rules, resources=resources, service=service)
        after, before = wish.start, wish.start + NEXT_FREE_DAYS * DAY + 1
        if not places:
            return []
        asked = Asked(wish.end - wish.start, wish.guests, ignore=wish.ignore, lifted=wish.lifted)
        if offer and offer.kind == "full-day":
            asked = replace(asked, days=max(round((wish.end - wish.start) / DAY), 1))
        profiles = await self._profiles(places, offer, asked, after, before)
        each = [
            (slot.start for slot in slots(place.room, offer, asked, profiles[place.room.id], after, before))
            for place in places
        ]
        starts: list[Millis] = []
        for start in merge(*each):
            if start not in starts[-1:]:
                starts.append(start)
            if len(starts) == NEXT_FREE:
                break
        return starts

    async def _profiles(
        self, places: Sequence[Place], offer: Offer | None, asked: Asked, after: Millis, before: Millis
    ) -> dict[str, Profile]:
        """How full each place is during every block that a slot of the span can have."""
        longest = max(asked.length, (asked.days + 1) * DAY if offer and offer.kind == "full-day" else 0)
        start, end = block_of(after, before + longest, offer)
        found = await read_occupancies(self.store, places, start, end)
        now = self.store.clock.millis()
        return {resource: Profile(now, occupancies, asked.ignore) for resource, occupancies in found.items()}

    async def _places(self, service: str | None, resource: str | None) -> tuple[Offer | None, list[Place]]:
        if service is None and resource is None:
            raise invalid("?resource", "Name a resource, or a service for its whole pool.")
        resources = None if resource is None else [resource]
        offer, places = await read_places(self.store, self.rules, resources=resources, service=service)
        if service is not None and offer is None:
            raise invalid("?service", f"There is no service {service!r}.")
        if resource is not None and not places:
            raise invalid("?resource", f"There is no resource {resource!r}.")
        return offer, places

    async def _ignored(self, identity: str | None, caller: Caller) -> ObjectId | None:
        if identity is None:
            return None
        try:
            return (await read_reservation(self.store, identity, caller)).id
        except Problem:
            raise invalid("?ignore", f"There is no reservation {identity!r}.") from None


def _asked(question: Question, offer: Offer | None) -> Asked:
    if question.days is not None and (offer is None or offer.kind != "full-day"):
        raise invalid("?days", "`days` is for full-day services.")
    if offer is not None and offer.kind == "full-day":
        if question.minutes is not None:
            raise invalid("?minutes", "A full-day service is asked for by `days`.")
        return Asked(DAY, question.guests, question.days or 1)
    return Asked(_length(question.minutes, offer), question.guests)


def _length(minutes: int | None, offer: Offer | None) -> Millis:
    if offer is None:
        if minutes is None:
            raise invalid("?minutes", "Without a service, say how long: `minutes`.")
        return minutes * MINUTE
    if offer.kind == "flexible":
        return offer.minimum if minutes is None else minutes * MINUTE
    if minutes not in (None, offer.duration // MINUTE):
        raise invalid("?minutes", f"The service takes {offer.duration // MINUTE} minutes; leave `minutes` out.")
    return offer.duration


def _end(start: Millis, offer: Offer | None, tz: ZoneInfo) -> Millis:
    if offer is None or offer.kind == "flexible":
        raise invalid("?endTime", "Say when it ends: without a service of fixed length nothing else tells.")
    return next_day(start, tz) if offer.kind == "full-day" else start + offer.duration


def _answer_zone(question: Question, places: Sequence[Place]) -> ZoneInfo:
    """The zone asked for, or the resource's, or the pool's if all agree, else UTC."""
    if question.timezone is not None:
        try:
            return zone(question.timezone)
        except ValueError as error:
            raise invalid("?timezone", str(error)) from None
    names = {place.room.timezone for place in places}
    return zone(names.pop() if len(names) == 1 else "UTC")


def _span(question: Question, tz: ZoneInfo) -> tuple[Millis, Millis]:
    (after, before), flaws = read_span(question.from_, question.to, tz, "?")
    if flaws:
        raise Problem("invalid", flaws[0].detail, faults=[Fault(*flaw) for flaw in flaws])
    longest = SPAN_DAYS * DAY
    if len(question.from_) == len("2026-03-08"):  # 92 local days may have an hour more
        longest = start_of_day(day_of(after, tz) + SPAN_DAYS * ONE_DAY, tz) - after
    if before - after > longest:
        raise invalid("?to", f"Ask for at most {SPAN_DAYS} days at a time.")
    return after, before
