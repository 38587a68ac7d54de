"""Changing what is booked: other times, another resource, another service; all under the guards it touches."""

from dataclasses import dataclass, field
from typing import Any

from app.booking.held import HeldIntent
from app.booking.intents import Accepted, Refused, Span, View
from app.booking.occupants import is_long, occupancy
from app.booking.permission import check_cancellation_notice
from app.booking.verbs import hold_expired
from app.errors import Problem, invalid
from app.storage.documents import Reservation
from app.timeline.instants import DAY, Millis, from_millis, to_millis
from app.timeline.lifecycle import is_final
from app.timeline.rules import LONGEST, RULES, Offer, Room, Wish, block_of, judge
from app.timeline.zones import days_between, next_day, zone

METADATA_KEYS = 20

FREE_FIELDS = frozenset({"notes", "metadata"})
"""What even a final reservation takes."""


@dataclass(slots=True, kw_only=True)
class Change(HeldIntent):
    """A merge patch of one reservation, with the stored names of its fields; None unsets.

    What could add load is judged like a booking. What cannot (nothing but the fields beside the time, or a part of
    the time with no more units) is never refused for an overlap.
    """

    patch: dict[str, Any]
    version: int | None = None
    admin: bool = False
    reason: str | None = None
    lifted: frozenset[str] = field(default_factory=frozenset)

    def lanes(self) -> frozenset[str]:
        """The guards of the resource that it is on, and of the one that it goes to."""
        return frozenset((self.resource, self.patch.get("resource", self.resource)))

    def services(self) -> frozenset[str]:
        """The service it has and the one it gets."""
        return frozenset(service for service in (self.service, self.patch.get("service")) if service)

    def spans(self, view: View) -> list[Span]:
        """The block that it would have."""
        stored = self.stored(view)
        if stored is None or not self._touches_load or is_final(stored.status):
            return []
        after, _, _ = self._after(stored, view)
        return [Span(after.resource, to_millis(after.block_start), to_millis(after.block_end))]

    def judge(self, view: View) -> Accepted:
        """The changed reservation.

        Raises:
            Problem: `not-found`, `stale`, `hold-expired`, `forbidden-transition`, `forbidden`, `invalid`.
            Refused: with the verdict, where the rules say no.
            Elsewhere: the reservation lies on a resource whose guard is not held.
        """
        stored = self.required(view)
        self.check_version(stored, self.version)
        now = view.now(stored.resource)
        status = self.status_now(stored, now)
        if status == "expired":
            raise hold_expired()
        if is_final(status) and not self.patch.keys() <= FREE_FIELDS:
            raise Problem("forbidden-transition", f"It is {status}; only its notes and metadata can be changed.")
        if not self._touches_load or is_final(status):
            return self._beside(stored, now)
        after, room, offer = self._after(stored, view)
        self._check_permission(stored, after, view, now)
        self._check_rules(stored, after, room, offer, view)
        return self._moved(stored, after, view, now)

    def without_load(self, stored: Reservation, view: View) -> Reservation | None:
        """What becomes of it if no instant of any resource becomes fuller by that; None if one could.

        Raises:
            Problem: `invalid`, `unavailable`.
        """
        if not self._touches_load:
            return stored
        after, _, _ = self._after(stored, view)
        return None if _could_add_load(stored, after) else after

    @property
    def _touches_load(self) -> bool:
        return not self.patch.keys() <= FREE_FIELDS | {"customer"}

    def _beside(self, stored: Reservation, now: Millis) -> Accepted:
        """Nothing but what lies beside the time."""
        return self.written(stored, _patched(stored, self.patch), now, taken=[], reason=self.reason)

    def _moved(self, stored: Reservation, after: Reservation, view: View, now: Millis) -> Accepted:
        taken = Span(after.resource, to_millis(after.block_start), to_millis(after.block_end))
        view.calendar(stored.resource).remove(stored.id)
        view.calendar(after.resource).add(occupancy(after))
        return self.written(stored, after, now, taken=[taken], reason=self.reason)

    def _after(self, stored: Reservation, view: View) -> tuple[Reservation, Room, Offer | None]:
        """The reservation as it would be, with the facts that it is judged by."""
        after = _patched(stored, self.patch)
        room, offer = self.facts(view, after)
        start, end = self._times(stored, after, room, offer)
        after = after.model_copy(update={"start_time": from_millis(start), "end_time": from_millis(end)})
        if self.patch.keys() & {"startTime", "service"}:
            block_start, block_end = block_of(start, end, offer)
        else:
            block_start = start - (to_millis(stored.start_time) - to_millis(stored.block_start))
            block_end = end + (to_millis(stored.block_end) - to_millis(stored.end_time))
        update = {
            "block_start": from_millis(block_start),
            "block_end": from_millis(block_end),
            "long": is_long(block_start, block_end) or None,
            "units": room.units(after.guests),
            "timezone": stored.timezone if after.resource == stored.resource else room.timezone,
        }
        return after.model_copy(update=update), room, offer

    def _times(self, stored: Reservation, after: Reservation, room: Room, offer: Offer | None) -> tuple[Millis, Millis]:
        """A new start alone keeps the length, a new fixed service sets it."""
        start, end = to_millis(after.start_time), to_millis(after.end_time)
        if "endTime" not in self.patch:
            if offer and offer.kind == "fixed" and "service" in self.patch:
                end = start + offer.duration
            elif "startTime" in self.patch:
                end = _same_length(stored, start, room, offer)
        if end <= start:
            raise invalid("/endTime", "`endTime` must lie after `startTime`.")
        if end - start > LONGEST:
            raise invalid("/endTime", f"A reservation lasts at most {LONGEST // DAY} days.")
        return start, end

    def _check_permission(self, stored: Reservation, after: Reservation, view: View, now: Millis) -> None:
        """Moving a confirmed one is bound like cancelling it, and giving it another service like confirming that.

        The start and the service that are stored count: else a client would first change them and then cancel.
        """
        if stored.status != "confirmed" or self.admin:
            return
        if _gives_up(stored, after):
            offer = view.offer(stored.service) if stored.service else None
            check_cancellation_notice(to_millis(stored.start_time), offer, now)
        wanted = view.offer(after.service) if after.service != stored.service and after.service else None
        if wanted and wanted.approval:
            raise Problem("forbidden", "The service needs approval: a change to it needs the scope reservations:admin.")

    def _check_rules(
        self, stored: Reservation, after: Reservation, room: Room, offer: Offer | None, view: View
    ) -> None:
        wish = Wish(
            to_millis(after.start_time),
            to_millis(after.end_time),
            after.guests,
            self.lifted if _could_add_load(stored, after) else _lifted_within(stored, after),
            ignore=stored.id,
        )
        block = (to_millis(after.block_start), to_millis(after.block_end))
        verdict = judge(wish, room, offer, view.calendar(after.resource), block=block)
        if not verdict.bookable:
            raise Refused(verdict)


_MOVING = ("start_time", "resource", "service")
"""The fields by which a confirmed time is given up, or its conditions are."""


def _gives_up(stored: Reservation, after: Reservation) -> bool:
    """Whether something of what is confirmed is not wanted any more: moved, ended earlier, or for fewer guests."""
    moved = any(getattr(stored, name) != getattr(after, name) for name in _MOVING)
    return moved or after.end_time < stored.end_time or after.guests < stored.guests


def _lifted_within(stored: Reservation, after: Reservation) -> frozenset[str]:
    """What is not judged again for a part of the time that is held already: all but its length, and a new service."""
    judged = {"duration"} | ({"service-active", "service-offered"} if after.service != stored.service else set())
    return frozenset(RULES) - judged


def _patched(stored: Reservation, patch: dict[str, Any]) -> Reservation:
    """The fields of a merge patch put in; metadata merges by key."""
    kept = stored.to_mongo()
    for name, value in patch.items():
        if name == "metadata" and value is not None:
            merged = {key: item for key, item in (kept.get(name, {}) | value).items() if item is not None}
            if len(merged) > METADATA_KEYS:
                raise invalid("/metadata", f"Metadata has at most {METADATA_KEYS} keys, with those that are there.")
            value = merged or None  # noqa: PLW2901  # what is empty is unset
        if value is None:
            kept.pop(name, None)
        else:
            kept[name] = value
    after: Reservation = Reservation.model_validate(kept)
    return after


def _same_length(stored: Reservation, start: Millis, room: Room, offer: Offer | None) -> Millis:
    """The end that keeps the length: elapsed time, or for whole days their number."""
    old_start, old_end = to_millis(stored.start_time), to_millis(stored.end_time)
    if offer and offer.kind == "full-day":
        days = days_between(old_start, old_end, zone(stored.timezone))
        return next_day(start, zone(room.timezone), max(days, 1))
    return start + old_end - old_start


def _could_add_load(stored: Reservation, after: Reservation) -> bool:
    """Whether some instant of some resource could become fuller by the change."""
    within = stored.block_start <= after.block_start and after.block_end <= stored.block_end
    return not (within and after.resource == stored.resource and after.units <= stored.units)
