"""Reservations as bytes: what is sent is what the description says."""

import json
from datetime import datetime

from bson import Int64, ObjectId
from hypothesis import given
from hypothesis import strategies as st

from app.domain.lifecycle import STATUSES
from app.reservations.rendering import ShownGroup, ShownPage, shown
from app.reservations.schemas import ReservationAnswer
from app.storage.documents import HistoryEntry, Reservation
from tests.support.times import DAY, HOUR, NINE

instants = st.integers(0, 10**10).map(lambda millis: NINE + millis * (HOUR / 3_600_000))
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
ids = st.binary(min_size=12, max_size=12).map(ObjectId)
numbers = st.integers(-(2**63), 2**63 - 1)
plain = texts | st.booleans() | numbers | numbers.map(Int64) | st.floats(allow_nan=False, allow_infinity=False)
statuses = st.sampled_from(STATUSES)

entries = st.fixed_dictionaries(
    {
        "at": instants,
        "by": texts,
        "operation": ids,
        "from_": st.none() | statuses,
        "to": st.none() | statuses,
        "changed": st.none() | st.lists(texts, max_size=3),
        "reason": st.none() | texts,
    }
).map(lambda values: HistoryEntry(**values))
reservations = st.fixed_dictionaries(
    {
        "id": ids,
        "resource": texts,
        "service": st.none() | texts,
        "customer": st.none() | texts,
        "status": statuses,
        "start_time": instants,
        "end_time": instants,
        "block_start": instants,
        "block_end": instants,
        "guests": st.integers(1, 1000),
        "units": st.integers(1, 1000),
        "timezone": texts,
        "notes": st.none() | texts,
        "reference": st.none() | texts,
        "metadata": st.none() | st.dictionaries(texts, plain, max_size=3),
        "group": st.none() | ids,
        "expires_at": st.none() | instants,
        "version": st.integers(1, 1000),
        "created_at": instants,
        "updated_at": instants,
        "history": st.lists(entries, max_size=3),
        "key": texts,
    }
).map(lambda values: Reservation(**values))


@given(reservations, instants)
def test_it_is_what_the_description_says(reservation: Reservation, now: datetime) -> None:
    """Any reservation has the fields, values and order of the model that the OpenAPI description is made of."""
    sent = json.loads(shown(reservation, now).to_json())

    described = ReservationAnswer.model_validate(sent, by_alias=True, by_name=False).to_json()
    assert json.dumps(sent) == json.dumps(json.loads(described))


@given(reservations)
def test_a_hold_reads_as_expired_from_its_end_on(reservation: Reservation) -> None:
    """A pending reservation with an end is pending a millisecond before it and expired at it; nothing else changes."""
    hold = reservation.model_copy(update={"status": "pending", "expires_at": NINE})

    before, after = shown(hold, NINE - HOUR / 3_600_000), shown(hold, NINE)

    assert (before.fields["status"], before.changed_by_time) == ("pending", False)
    assert (after.fields["status"], after.changed_by_time) == ("expired", True)
    assert {**before.fields, "status": "expired"} == after.fields


@given(st.lists(reservations, min_size=1, max_size=3), st.none() | texts)
def test_pages_and_groups_have_their_members(members: list[Reservation], following: str | None) -> None:
    """A page and a group list their members in order; the version of a group counts the changes of all."""
    each = [shown(member, NINE + DAY) for member in members]

    page = json.loads(ShownPage(each, following).to_json())
    group = ShownGroup.of(ObjectId(), each)

    alone = [json.loads(member.to_json()) for member in each]
    assert page == {"items": alone} | ({} if following is None else {"next": following})
    assert group.version == 1 + sum(m.version - 1 for m in members)
    assert json.loads(group.to_json())["reservations"] == alone
