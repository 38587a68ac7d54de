"""A guess at the options for a collection of unknown shape, from the names and values of its fields.

It is printed where nothing could be read, as a draft for a person who knows the schema.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from app.audit.kinds import FieldProfile, Kind, at_midnight, profile_field
from app.audit.survey import Survey, survey
from app.domain.lifecycle import BLOCKING
from app.storage.readonly import DeniedError, ReadOnlyDatabase
from app.storage.row_reader import IDLE_FOLDED, folded
from app.storage.values import count, identity

_RESOURCE_WORDS = (
    *("room", "table", "court", "car", "vehicle", "resource", "desk", "doctor", "doc", "stylist", "barber", "staff"),
    *("employee", "provider", "therapist", "trainer", "coach", "instructor", "expert", "hall", "venue", "space"),
    *("studio", "field", "pitch", "lane", "boat", "bike", "bed", "unit", "apartment", "property", "listing", "villa"),
    *("house", "equipment", "asset", "tour", "trip", "event", "show", "class", "session", "item", "product", "service"),
    *("hotel", "restaurant", "location", "calendar", "user"),
)
"""Names of what can be booked, the surest first."""
_ID_WORDS = frozenset({"id", "ids", "ref", "no", "number", "num", "type", "numbers"})
_START_WORDS = ("start", "begin", "checkin", "pickup", "arriv", "dtstart")
_END_WORDS = ("end", "checkout", "return", "dropoff", "depart", "dtend")
_RECORD_WORDS = ("created", "updated", "modified", "paid", "payment", "expires", "birth", "dob", "confirmed", "sent")
_CANCELLED_WORDS = ("cancelled", "canceled", "cancel", "archived", "void", "voided", "refunded", "rejected")
_TAKEN_WORDS = ("booked", "active", "reserved")
_LENGTH_WORDS = ("duration", "minutes", "mins", "length")
_UNIT_WORDS = ("units", "quantity", "qty", "seats", "booked", "tickets", "spots", "places")
_STOCK_WORDS = ("quantity", "qty", "stock", "inventory", "units", "copies", "total")
_CAPACITY_WORDS = ("capacity", "seats", "max", "spots", "places")
_MINUTES = 60
_MINUTES_MIN = 5
"""A smaller duration is more likely in hours."""
_STATUSES_MAX = 12
_SAMPLE_SIZE = 100


@dataclass(slots=True)
class Guess:
    """Options to try, and hints about them; `blind` if no field looks like a booking's."""

    blind: bool = False
    options: list[str] = field(default_factory=list)
    hints: list[str] = field(default_factory=list)

    def add(self, option: str, value: str) -> None:
        """Add an option with its value."""
        self.options += [option, value]


async def guess(reading: ReadOnlyDatabase, found: Survey) -> Guess:
    """Guess the options for the documents of a sample; none if no fields look like a resource and a time."""
    candidates = [profile_field(path, field_) for path, field_ in found.fields.items()]
    result = Guess()
    resource = _find_resource(candidates)
    if resource is None or not _add_times(candidates, resource, result):
        what = "what is booked (--resource-field)" if resource is None else "when that is (--start or --date-field)"
        return Guess(blind=True, hints=[f"No field looks like {what}; name it, or bring it there by --pipeline."])
    if resource.path != "resource":
        result.options[:0] = ["--resource-field", resource.path]
    _add_statuses(candidates, result)
    await _add_units(reading, candidates, resource, result)
    return result


def _find_resource(candidates: Sequence[FieldProfile]) -> FieldProfile | None:
    ranked = sorted((rank, place) for place, each in enumerate(candidates) if (rank := _rank(each)) is not None)
    return candidates[ranked[0][1]] if ranked else None


def _rank(each: FieldProfile) -> tuple[int, int, int] | None:
    """How likely a field names what is booked: the smallest rank is the likeliest; None: it does not."""
    if each.path == "_id" or each.kind not in {Kind.ID, Kind.TEXT, Kind.NUMBER}:
        return None
    bare = [word for word in each.words if word not in _ID_WORDS] or list(each.words)
    words = [word if word in _RESOURCE_WORDS else word.removesuffix("s") for word in bare]
    if words[-1] not in _RESOURCE_WORDS:
        return None
    return (
        _RESOURCE_WORDS.index(words[-1]) + len(_RESOURCE_WORDS) * (len(words) > 1),
        0 if each.kind is Kind.ID else 1,
        len(each.words),
    )


def _add_times(candidates: Sequence[FieldProfile], resource: FieldProfile, result: Guess) -> bool:
    """Add the options for start and end; whether any field could be found for them."""
    instants = [each for each in candidates if each.kind in {Kind.INSTANT, Kind.DAY, Kind.EPOCH}]
    instants = [each for each in instants if not each.has(*_RECORD_WORDS, *_CANCELLED_WORDS)]
    pair = _find_pair(instants, resource)
    if pair is not None:
        if [each.path for each in pair] != ["startTime", "endTime"]:
            result.options += ["--start", pair[0].path, "--end", pair[1].path]
        _add_date_format(pair, result)
        return True
    clocks = [each for each in candidates if each.kind in {Kind.CLOCK, Kind.RANGE}]
    days = sorted(
        (each for each in instants if each.has("date", "dates", "day", "days")),
        key=lambda each: (each.kind is Kind.EPOCH, each.kind is Kind.INSTANT, len(each.words) == 1),
    )
    if clocks and days:
        return _add_day_and_clock(days[0], clocks, candidates, result)
    starts = [each for each in instants if _is_start(each)] or [each for each in instants if not at_midnight(each)]
    starts = [each for each in starts if each.kind is not Kind.DAY]
    if starts:
        if starts[0].path != "startTime":
            result.add("--start", starts[0].path)
        _add_length(candidates, result)
        _add_date_format(starts[:1], result)
        return True
    if days:
        result.add("--date-field", days[0].path)
        _add_date_format(days[:1], result)
    return bool(days)


def _find_pair(instants: Sequence[FieldProfile], resource: FieldProfile) -> tuple[FieldProfile, FieldProfile] | None:
    """A start and an end of one kind in one object, preferably in that of the resource."""
    pairs = [(start, end) for start in instants if _is_start(start) for end in instants if _is_end(end)]
    matching = [each for each in pairs if each[0].parent == each[1].parent and each[0].kind is each[1].kind]
    ordered = sorted(matching, key=lambda each: (each[0].kind is Kind.EPOCH, each[0].parent != resource.parent))
    return ordered[0] if ordered else None


def _is_start(each: FieldProfile) -> bool:
    return each.has("from") or any(part in each.name for part in _START_WORDS)


def _is_end(each: FieldProfile) -> bool:
    return each.has("to", "until", "till") or any(part in each.name for part in _END_WORDS)


def _add_day_and_clock(
    day: FieldProfile, clocks: Sequence[FieldProfile], candidates: Sequence[FieldProfile], result: Guess
) -> bool:
    """Add the options for a day and a time of day."""
    start = next(filter(_is_start, clocks), None) or next((each for each in clocks if not _is_end(each)), clocks[0])
    result.add("--date-field", day.path)
    result.add("--time-field", start.path)
    end = next((each for each in clocks if _is_end(each) and each is not start), None)
    if end is not None:
        if end.path != "endTime":
            result.add("--end", end.path)
    elif start.kind is Kind.CLOCK:
        _add_length(candidates, result)
    _add_date_format([day, start], result)
    return True


def _add_length(candidates: Sequence[FieldProfile], result: Guess) -> None:
    """Add an option for the duration, where no end is stored."""
    for each in candidates:
        numbers = [number for value in each.values if (number := count(value)) is not None]
        if each.has(*_LENGTH_WORDS) and numbers and min(numbers) >= _MINUTES_MIN:
            result.add("--minutes-field", each.path)
            return
    result.add("--minutes", str(_MINUTES))
    result.hints.append(f"How long one lasts is in no field; {_MINUTES} minutes are only a guess.")


def _add_date_format(used: Sequence[FieldProfile], result: Guess) -> None:
    """Add the format of texts, and a hint that their time zone is an assumption."""
    date_format = next((each.date_format for each in used if each.date_format is not None), None)
    if date_format is not None:
        result.add("--date-format", date_format)
    if any(isinstance(value, str) and not value.endswith("Z") for each in used for value in each.values[:1]):
        result.hints.append("Texts are read as UTC; if they are local times, say of where by --timezone.")


def _add_statuses(candidates: Sequence[FieldProfile], result: Guess) -> None:
    """Add the options for statuses that occupy, and for flags by which nothing is occupied."""
    named = [each for each in candidates if each.words[-1:] in {("status",), ("state",)} and each.kind is Kind.TEXT]
    named = [each for each in named if not each.has("payment", "paid", "address", "billing")]
    status = min(named, key=lambda each: (len(each.path.split(".")), len(each.words)), default=None)
    if status is None or len(set(status.values)) > _STATUSES_MAX:
        result.options.append("--no-status")
    else:
        if status.path != "status":
            result.add("--status-field", status.path)
        _add_blocking(status, result)
    for each in candidates:
        if each.has("deleted"):
            continue  # every reader leaves out the trash
        if each.kind is Kind.FLAG and each.has(*_CANCELLED_WORDS):
            result.add("--free-if", f"{each.path}=true")
        elif each.kind is Kind.FLAG and each.has(*_TAKEN_WORDS):
            result.add("--free-if", f"{each.path}=false")
        elif each.has(*_CANCELLED_WORDS) and each.words[-1] in {"at", "on", "date"}:
            result.add("--free-if", each.path)


def _add_blocking(status: FieldProfile, result: Guess) -> None:
    texts = [value for value in status.values if isinstance(value, str) and value.strip() and "," not in value]
    common = [value for value, _ in Counter(texts).most_common()]
    names = {folded(value): value for value in reversed(common) if folded(value) not in IDLE_FOLDED}
    if names and not names.keys() <= set(BLOCKING):
        result.add("--blocking", ",".join(reversed(names.values())))
        result.hints.append("Leave out of --blocking what does not occupy; --free-if says so of a status.")


async def _add_units(
    reading: ReadOnlyDatabase, candidates: Sequence[FieldProfile], resource: FieldProfile, result: Guess
) -> None:
    """Add the options for the units that a booking takes, and for the capacity of its resource."""
    numbers = [each for each in candidates if each.kind is Kind.NUMBER and each is not resource]
    unit_fields = [each for each in numbers if each.has(*_UNIT_WORDS) and any(count(value, 2) for value in each.values)]
    if unit_fields:
        result.add("--units-field", unit_fields[0].path)
    for collection in _collections_named_after(resource, await reading.collections()):
        try:
            known = survey(await reading.sample(collection, _SAMPLE_SIZE))
        except DeniedError:  # the guess goes on without this collection
            continue
        ids = {identity(value) for value in known.fields["_id"].values} if "_id" in known.fields else set()
        if ids.isdisjoint(map(identity, resource.values)):
            continue
        # the seats of a room are its capacity only where a booking takes several units
        words = (*_STOCK_WORDS, *_CAPACITY_WORDS) if unit_fields else _STOCK_WORDS
        for path, field_ in known.fields.items():
            each = profile_field(path, field_)
            if each.kind is Kind.NUMBER and each.has(*words) and "." not in path:
                result.add("--capacity-from", f"{collection}.{path}")
                return


def _collections_named_after(resource: FieldProfile, collections: Sequence[str]) -> Iterator[str]:
    """The collections named after the field of the resource: `cars` for `car` and `carId`."""
    name = "".join(word for word in resource.words if word not in _ID_WORDS or word == "type").removesuffix("s")
    for collection in collections:
        if collection.lower().replace("_", "").replace("-", "").removesuffix("s") == name:
            yield collection
