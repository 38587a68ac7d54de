"""Confirm and extend judged against a view built by hand: by the guard's clock, and from which status."""

from datetime import timedelta
from typing import Any

import pytest

from app.booking.confirm_extend import Confirm, Extend
from app.booking.existing import ExistingIntent, ReservationMoved
from app.domain.ids import ServiceId
from app.domain.instants import HOUR as HOUR_MILLIS
from app.domain.rules import ResourceRules, ServiceRules
from tests.support.booking_view import NOW, FixedView, problem_of, stored_row
from tests.support.ids import ROOM_ID
from tests.support.times import DAY, MINUTE

ROOM = ResourceRules(ROOM_ID, services=frozenset({ServiceId("asked"), ServiceId("strict")}))
ASKED = ServiceRules(ServiceId("asked"), "fixed", duration=HOUR_MILLIS, requires_approval=True)
STRICT = ServiceRules(ServiceId("strict"), "fixed", duration=HOUR_MILLIS, cancellation_notice=25 * HOUR_MILLIS)


def view(*rows: dict[str, Any], **fields: Any) -> FixedView:
    """The room, its services and these reservations."""
    return FixedView([ROOM], [ASKED, STRICT], rows, **fields)


def stored_hold(**fields: Any) -> dict[str, Any]:
    """A hold that ends in ten minutes."""
    return stored_row(status="pending", **({"expiresAt": NOW + 10 * MINUTE} | fields))


def place_of(row: dict[str, Any]) -> dict[str, Any]:
    """What every intent on a stored reservation names."""
    return {"by": "caller", "reservation": row["_id"], "resource": row["resource"], "service": row.get("service")}


class TestConfirm:
    """A hold or a request becomes confirmed, or the hold a request."""

    def test_a_live_hold(self) -> None:
        """It has no end any more, and keeps its time."""
        row = stored_hold()
        seen = view(row)
        accepted = Confirm(**place_of(row), reason="paid").judge(seen)

        assert (accepted.value.status, accepted.value.expires_at) == ("confirmed", None)
        assert [each.expires for each in seen.calendar(ROOM_ID).live.values()] == [None]
        (update,) = accepted.updates
        assert update.query == {"_id": row["_id"], "version": 3}
        assert update.change["$unset"] == {"expiresAt": ""}
        line = accepted.value.history[-1]
        assert (line.from_, line.to, line.reason, line.at) == ("pending", "confirmed", "paid", NOW)

    @pytest.mark.promise("hold-expiry")
    def test_a_hold_is_over_at_its_instant(self) -> None:
        """By the guard's clock: not a millisecond before."""
        row = stored_hold(expiresAt=NOW)

        assert problem_of(Confirm(**place_of(row)), view(row)) == ("hold-expired", [])
        assert Confirm(**place_of(row)).judge(view(row, now=NOW - timedelta(milliseconds=1))).writes

    @pytest.mark.promise("approval")
    def test_of_a_service_with_approval_a_hold_becomes_a_request(self) -> None:
        """Only an admin confirms the request; an admin makes a booking of the hold at once."""
        row, request = stored_hold(service="asked"), stored_row(status="pending", service="asked")

        asked = Confirm(**place_of(row)).judge(view(row)).value
        assert (asked.status, asked.expires_at) == ("pending", None)
        assert Confirm(**place_of(row), admin=True).judge(view(row)).value.status == "confirmed"
        assert problem_of(Confirm(**place_of(request)), view(request)) == ("forbidden", [])
        assert Confirm(**place_of(request), admin=True).judge(view(request)).value.status == "confirmed"

    def test_what_is_confirmed_stays_as_it_is(self) -> None:
        """Nothing is written for a repetition."""
        row = stored_row()

        assert not Confirm(**place_of(row)).judge(view(row)).writes

    @pytest.mark.parametrize("status", ["cancelled", "completed", "no-show"])
    def test_what_is_final_is_refused_unless_a_group_spares_it(self, status: str) -> None:
        """A group confirms the members that are left."""
        row = stored_row(status=status)

        assert problem_of(Confirm(**place_of(row)), view(row)) == ("forbidden-transition", [])
        assert not Confirm(**place_of(row), spares_final=True).judge(view(row)).writes

    def test_a_group_does_not_spare_an_expired_hold(self) -> None:
        """Its time may be lost."""
        row = stored_hold(expiresAt=NOW)

        assert problem_of(Confirm(**place_of(row), spares_final=True), view(row)) == ("hold-expired", [])


@pytest.mark.promise("extend")
class TestExtend:
    """A hold gets a later end, and never an earlier one."""

    def test_to_so_many_seconds_from_now(self) -> None:
        """By the guard's clock."""
        row = stored_hold()

        assert Extend(**place_of(row), seconds=900).judge(view(row)).value.expires_at == NOW + 15 * MINUTE

    def test_it_never_becomes_shorter(self) -> None:
        """An earlier end writes nothing, and so does the same one."""
        row = stored_hold()

        for seconds in (60, 600):
            accepted = Extend(**place_of(row), seconds=seconds).judge(view(row))
            assert (accepted.writes, accepted.value.expires_at) == (False, NOW + 10 * MINUTE)

    def test_at_most_a_day_after_it_was_made(self) -> None:
        """The last second is allowed, the next one is refused at its field."""
        row = stored_hold(createdAt=NOW - DAY + 20 * MINUTE)

        assert Extend(**place_of(row), seconds=1_200).judge(view(row)).writes
        refused = problem_of(Extend(**place_of(row), seconds=1_201), view(row))
        assert refused == ("invalid", ["expiresInSeconds"])

    def test_only_a_live_hold(self) -> None:
        """A request has no end, and what is confirmed needs none."""
        for row, name in (
            (stored_row(status="pending"), "forbidden-transition"),
            (stored_row(), "forbidden-transition"),
            (stored_hold(expiresAt=NOW), "hold-expired"),
        ):
            assert problem_of(Extend(**place_of(row), seconds=60), view(row)) == (name, [])


def test_a_reservation_whose_resource_is_gone_stays_pending() -> None:
    """It can neither be confirmed nor extended."""
    hold = stored_hold(resource="gone")

    assert problem_of(Confirm(**place_of(hold)), view(hold)) == ("invalid", ["resource"])
    assert problem_of(Extend(**place_of(hold), seconds=900), view(hold)) == ("invalid", ["resource"])


@pytest.mark.parametrize(("kind", "fields"), [(Confirm, {}), (Extend, {"seconds": 60})], ids=str)
class TestWhereItLies:
    """What each of them must find."""

    def test_an_unknown_reservation_is_not_found(self, kind: type[ExistingIntent], fields: dict[str, Any]) -> None:
        """And the intent names it as its target."""
        row = stored_hold()
        intent = kind(**place_of(row), **fields)

        assert problem_of(intent, view()) == ("not-found", [])
        assert intent.targets() == {("reservations", row["_id"])}

    @pytest.mark.parametrize("moved", [{"resource": "hall"}, {"service": "strict"}])
    def test_one_that_was_moved_is_judged_again(
        self, kind: type[ExistingIntent], fields: dict[str, Any], moved: dict[str, str]
    ) -> None:
        """The caller has to name the guard of the resource on which it lies now, and its service."""
        row = stored_hold()
        seen = view(row | moved)

        with pytest.raises(ReservationMoved):
            kind(**place_of(row), **fields).judge(seen)
