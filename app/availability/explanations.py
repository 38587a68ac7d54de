"""The verdict of every rule on one time: on a resource, or on each of a pool."""

from collections.abc import Callable, Mapping, Sequence

import msgspec
from bson import ObjectId

from app.availability.queries import BookableResource
from app.availability.questions import TimeQuestion, end_of
from app.availability.rendering import EncodedAnswer
from app.caller import Caller
from app.domain.instants import Millis, to_millis
from app.domain.load import Profile
from app.domain.rules import BookingRequest, ResourceRules, ServiceRules, Verdict, block_of, judge
from app.refusals import check_json
from app.storage.bson_types import BsonDocument
from app.storage.occupancy import occupancies_on
from app.storage.rule_cache import took_too_long

_JSON = msgspec.json.Encoder()


class Occupants:
    """The stored reservations of each resource, and when they were read."""

    def __init__(self, rows: Mapping[str, list[BsonDocument]], now: Millis) -> None:
        self._rows = rows
        self._now = now

    def profile(self, resource: ResourceRules, ignore: object = None) -> Profile:
        """How full a resource is, without the reservation to ignore."""
        return Profile(
            self._now, occupancies_on(resource.id, self._rows[resource.id], by_guests=resource.by_guests), ignore
        )


class Explained:
    """A question about one time, with what it asks about.

    Args:
        question: The question.
        service: The service that it names, if it names one.
        resources: The resource that it names, or the pool of the service.
        ignore: The reservation to ignore, if it names one.

    Raises:
        Problem: `invalid` where nothing says when the time ends, or the length is one that no reservation can have.
    """

    def __init__(
        self,
        question: TimeQuestion,
        service: ServiceRules | None,
        resources: Sequence[BookableResource],
        ignore: ObjectId | None,
    ) -> None:
        self._pool = question.resource is None
        self._service = service
        self._resources = resources
        start, end = to_millis(question.start), None if question.end is None else to_millis(question.end)
        ends = {each: end_of(start, end, service, each) for each in {each.rules.timezone for each in resources}}
        self._requests = {
            timezone: BookingRequest(start, end, question.guests, ignore=ignore) for timezone, end in ends.items()
        }
        self.block = block_of(start, max(ends.values(), default=start), service)
        """What it would occupy at most: full days may end at another instant in another zone."""

    def encoded(self, occupants: Occupants, caller: Caller, late: Callable[[], bool]) -> EncodedAnswer:
        """The answer as JSON, less what the caller may not read.

        Raises:
            Problem: `overloaded` where it is `late` before all of a pool are judged.
        """
        if not self._pool:
            return EncodedAnswer.of(_JSON.encode(_shown(self._verdict(self._resources[0], occupants), caller)))
        items: list[bytes] = []
        bookable = False
        for resource in self._resources:
            verdict = self._verdict(resource, occupants)
            bookable = bookable or verdict.bookable
            items.append(_JSON.encode({"resource": resource.rules.id, **_shown(verdict, caller)}))
            if late():
                raise took_too_long()
        return EncodedAnswer.of(b'{"bookable":%s,"resources":[%s]}' % (_JSON.encode(bookable), b",".join(items)))

    def _verdict(self, resource: BookableResource, occupants: Occupants) -> Verdict:
        request = self._requests[resource.rules.timezone]
        return judge(request, resource.rules, self._service, occupants.profile(resource.rules, request.ignore))


def _shown(verdict: Verdict, caller: Caller) -> dict[str, object]:
    return {"bookable": verdict.bookable, "checks": [check_json(check, verdict, caller) for check in verdict.checks]}
