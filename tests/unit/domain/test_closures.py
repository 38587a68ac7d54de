"""Closures, against a walk over all of them at every quarter of an hour around changes of the clocks."""

from collections.abc import Sequence
from datetime import date, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.closures import INDEXES_MAX, NEVER, NO_CLOSURES, Closure, Closures, Edge
from app.domain.ids import ResourceId, ServiceId
from app.domain.instants import DAY, MINUTE, Millis, from_millis, parse, to_millis
from app.domain.zones import zone

MIDDLES = {
    "UTC": date(2030, 1, 7),
    "Europe/Berlin": date(2030, 3, 31),
    "Africa/Cairo": date(2030, 4, 26),
    "Australia/Lord_Howe": date(2030, 10, 6),
    "Pacific/Apia": date(2011, 12, 30),
}
"""Zones, each with a date on which its clocks change: Cairo's day begins at 01:00, and Apia skipped the whole of it."""
ELSEWHERE = "Asia/Kathmandu"
STEP = 15 * MINUTE
REACH = 3
"""Days before and after the date that closures begin and end on."""
RESOURCES = (*map(ResourceId, "abc"),)
SERVICES = (*map(ServiceId, "xyz"),)
OFFERED = st.frozensets(st.sampled_from(SERVICES))
STAMP = "stamp"


def noon_of(day: date) -> Millis:
    """Its noon in UTC."""
    return to_millis(parse(f"{day.isoformat()}T12:00:00Z"))


@st.composite
def closures_around(draw: st.DrawFn, middle: date) -> list[Closure]:
    """Some closures, by dates or by instants; several may have one id, as a closure and its pending successor have."""

    def closure() -> Closure:
        first = draw(st.integers(-REACH, REACH - 1))
        last = draw(st.integers(first + 1, REACH))
        if draw(st.booleans()):
            start: Edge = middle + timedelta(days=first)
            end: Edge = middle + timedelta(days=last)
        else:
            begin = Millis(noon_of(middle) + first * DAY + draw(st.integers(0, 95)) * STEP)
            start, end = begin, Millis(begin + draw(st.integers(1, 120)) * STEP)
        return Closure(
            draw(st.sampled_from("123")),
            start,
            end,
            draw(st.frozensets(st.sampled_from(RESOURCES))),
            draw(OFFERED),
            is_pending=draw(st.booleans()),
        )

    return [closure() for _ in range(draw(st.integers(0, 6)))]


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[Closure], str]:
    """Closures around a change of the clocks, and the zone in which it is."""
    place = draw(st.sampled_from([*MIDDLES]))
    return draw(closures_around(MIDDLES[place])), place


def is_closed_by(each: Closure, instant: Millis, place: str) -> bool:
    """Whether an instant lies in a closure, told by what the clocks of the place show then."""
    if isinstance(each.start, date) and isinstance(each.end, date):
        return each.start <= from_millis(instant).astimezone(zone(place)).date() < each.end
    assert not isinstance(each.start, date)
    assert not isinstance(each.end, date)
    return each.start <= instant < each.end


def closing(found: Sequence[Closure], resource: ResourceId, offered: frozenset[ServiceId]) -> list[Closure]:
    """Those that close a resource."""
    return [
        each
        for each in found
        if resource in each.resources or each.services & offered or not (each.resources or each.services)
    ]


def instants_around(middle: date) -> range:
    """Every quarter of an hour that one of the closures can lie in, and some before and after."""
    noon = noon_of(middle)
    return range(noon - (REACH + 2) * DAY, noon + (REACH + 3) * DAY, STEP)


def closed_instants(
    closures: Closures, offered: frozenset[ServiceId], place: str, instants: range
) -> dict[ResourceId, list[int]]:
    """The quarters of an hour at which each resource is closed."""
    return {
        resource: [
            instant
            for instant in instants
            if closures.of(resource, offered, place).first(Millis(instant), Millis(instant + 1)) is not None
        ]
        for resource in RESOURCES
    }


def walked(
    found: Sequence[Closure], offered: frozenset[ServiceId], place: str, instants: range
) -> dict[ResourceId, list[int]]:
    """The same by a walk over the closures, one by one."""
    return {
        resource: [
            instant
            for instant in instants
            if any(is_closed_by(each, Millis(instant), place) for each in closing(found, resource, offered))
        ]
        for resource in RESOURCES
    }


@settings(max_examples=40)
@given(cases(), OFFERED, OFFERED)
def test_what_is_closed_is_what_a_walk_finds(
    case: tuple[list[Closure], str], offered: frozenset[ServiceId], more: frozenset[ServiceId]
) -> None:
    """At every instant, for each resource and whatever it offers, also when asked again for others and elsewhere."""
    found, place = case
    closures, instants = Closures(STAMP, found), instants_around(MIDDLES[place])

    for services, where in ((offered, place), (more, place), (offered, ELSEWHERE)):
        expected = walked(found, services, where, instants)
        assert closed_instants(closures, services, where, instants) == expected


@given(cases(), OFFERED)
def test_an_index_lists_the_closures_of_a_resource(
    case: tuple[list[Closure], str], offered: frozenset[ServiceId]
) -> None:
    """By start, each with the time that it has in the zone, if it has one there."""
    found, place = case
    for resource in RESOURCES:
        index = Closures(STAMP, found).of(resource, offered, place)
        expected = [each.time_off(place) for each in closing(found, resource, offered)]
        times = sorted((off.start, off.end, off.id) for off in expected if off is not None)
        assert [(off.start, off.end, off.id) for off in index] == times


@given(cases())
def test_settled_are_those_that_are_not_pending(case: tuple[list[Closure], str]) -> None:
    """Of the same moment, the same object each time, and its own settled ones."""
    found, _ = case
    closures = Closures(STAMP, found)
    settled = closures.settled

    assert (settled.stamp, [*settled.all]) == (STAMP, [each for each in found if not each.is_pending])
    assert closures.settled is settled
    assert settled.settled is settled


@given(cases(), st.sampled_from("1234"), st.data())
def test_one_takes_the_place_of_what_has_its_id(
    case: tuple[list[Closure], str], name: str, data: st.DataObject
) -> None:
    """Without one, nothing of that id is left, pending or not; with one it alone has the id; the others stay."""
    found, place = case
    closures = Closures(STAMP, found)
    others = [each for each in found if each.id != name]
    added = data.draw(closures_around(MIDDLES[place]).filter(bool))[0]

    assert [*closures.without(name).all] == others
    assert [*closures.with_closure(added).all] == [*(each for each in found if each.id != added.id), added]
    assert {closures.without(name).stamp, closures.with_closure(added).stamp} == {STAMP}
    assert [*closures.all] == found


def test_a_zone_that_skipped_the_dates_is_not_closed() -> None:
    """30 December 2011 does not exist in Apia; beside it another closure closes as ever."""
    skipped = Closure("skipped", date(2011, 12, 30), date(2011, 12, 31))
    later = Closure("later", date(2011, 12, 31), date(2012, 1, 1))

    assert skipped.time_off("Pacific/Apia") is None
    assert skipped.time_off("Pacific/Pago_Pago") is not None
    assert [off.id for off in Closures(STAMP, [skipped, later]).of(RESOURCES[0], frozenset(), "Pacific/Apia")] == [
        "later"
    ]


def test_resources_share_the_index_of_the_same_closures() -> None:
    """Ten thousand resources need one index of what closes them all; of those of single ones not all are kept."""
    everywhere = Closure("all", Millis(0), Millis(1))
    names = [ResourceId(str(number)) for number in range(INDEXES_MAX + 1)]
    for_all = Closures(STAMP, [everywhere])
    one_by_one = Closures(STAMP, [Closure(name, Millis(0), Millis(1), frozenset({name})) for name in names])

    assert len({id(for_all.of(name, frozenset(), "UTC")) for name in names}) == 1
    first, *_ = found = [one_by_one.of(name, frozenset(), "UTC") for name in names]
    again = one_by_one.of(names[0], frozenset(), "UTC")
    assert [[off.id for off in index] for index in found] == [[name] for name in names]
    assert again is not first
    assert [*again] == [*first]


def test_without_closures_nothing_is_closed() -> None:
    """Neither where there are none, nor where none is meant."""
    other = Closures(STAMP, [Closure("1", Millis(0), Millis(1), frozenset({RESOURCES[0]}))])

    assert NO_CLOSURES.of(RESOURCES[0], frozenset(SERVICES), "UTC") is NEVER
    assert other.of(RESOURCES[1], frozenset(SERVICES), "UTC") is NEVER
    assert [*NEVER] == []
