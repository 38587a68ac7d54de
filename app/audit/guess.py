"""A guess of the options by which a collection may be read, by the names of its fields and what they hold.

It is printed where nothing could be read, for somebody who knows the schema to correct.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from app.audit.kinds import Kind, Seen, at_midnight, look
from app.audit.survey import Survey, survey
from app.domain.lifecycle import BLOCKING
from app.storage.readonly import DeniedError, ReadOnlyDatabase
from app.storage.row_reader import IDLE_FOLDED, folded
from app.storage.values import count, identity

_RESOURCES = (
    *("room", "table", "court", "car", "vehicle", "resource", "desk", "doctor", "doc", "stylist", "barber", "staff"),
    *("employee", "provider", "therapist", "trainer", "coach", "instructor", "expert", "hall", "venue", "space"),
    *("studio", "field", "pitch", "lane", "boat", "bike", "bed", "unit", "apartment", "property", "listing", "villa"),
    *("house", "equipment", "asset", "tour", "trip", "event", "show", "class", "session", "item", "product", "service"),
    *("hotel", "restaurant", "location", "calendar", "user"),
)
"""What is booked, the surest first."""
_ID_WORDS = frozenset({"id", "ids", "ref", "no", "number", "num", "type", "numbers"})
_STARTS = ("start", "begin", "checkin", "pickup", "arriv", "dtstart")
_ENDS = ("end", "checkout", "return", "dropoff", "depart", "dtend")
_RECORDED = ("created", "updated", "modified", "paid", "payment", "expires", "birth", "dob", "confirmed", "sent")
_CANCELLED = ("cancelled", "canceled", "cancel", "archived", "void", "voided", "refunded", "rejected")
_TAKEN = ("booked", "active", "reserved")
_LENGTHS = ("duration", "minutes", "mins", "length")
_SHARES = ("units", "quantity", "qty", "seats", "booked", "tickets", "spots", "places")
_STOCK = ("quantity", "qty", "stock", "inventory", "units", "copies", "total")
_ROOMY = ("capacity", "seats", "max", "spots", "places")
_MINUTES = 60
_SHORTEST = 5
"""Below that a duration is more likely in hours."""
_FEW = 12
_CATALOGUE = 100


@dataclass(slots=True)
class Guess:
    """Options to try, and what somebody should know about them; `blind`, if nothing looks like a booking."""

    blind: bool = False
    options: list[str] = field(default_factory=list)
    hints: list[str] = field(default_factory=list)

    def add(self, option: str, value: str) -> None:
        """One more option with its value."""
        self.options += [option, value]


async def guess(reading: ReadOnlyDatabase, found: Survey) -> Guess:
    """Guess the options for the documents of a sample; none, if nothing looks like a resource and a time."""
    seen = [look(path, its) for path, its in found.fields.items()]
    guessed = Guess()
    resource = _resource(seen)
    if resource is None or not _times(seen, resource, guessed):
        what = "what is booked (--resource-field)" if resource is None else "when that is (--start or --date-field)"
        return Guess(blind=True, hints=[f"No field looks like {what}; name it, or bring it there by --pipeline."])
    if resource.path != "resource":
        guessed.options[:0] = ["--resource-field", resource.path]
    _statuses(seen, guessed)
    await _units(reading, seen, resource, guessed)
    return guessed


def _resource(seen: Sequence[Seen]) -> Seen | None:
    ranked = sorted((rank, place) for place, each in enumerate(seen) if (rank := _rank(each)) is not None)
    return seen[ranked[0][1]] if ranked else None


def _rank(each: Seen) -> tuple[int, int, int] | None:
    """How much a field looks like what is booked; the smallest is the best."""
    if each.path == "_id" or each.kind not in {Kind.ID, Kind.TEXT, Kind.NUMBER}:
        return None
    bare = [word for word in each.words if word not in _ID_WORDS] or list(each.words)
    words = [word if word in _RESOURCES else word.removesuffix("s") for word in bare]
    if words[-1] not in _RESOURCES:
        return None
    return (
        _RESOURCES.index(words[-1]) + len(_RESOURCES) * (len(words) > 1),
        0 if each.kind is Kind.ID else 1,
        len(each.words),
    )


def _times(seen: Sequence[Seen], resource: Seen, guessed: Guess) -> bool:
    """Whether something says when; then it is among the options."""
    moments = [each for each in seen if each.kind in {Kind.INSTANT, Kind.DAY, Kind.EPOCH} and not each.has(*_RECORDED)]
    moments = [each for each in moments if not each.has(*_CANCELLED)]
    pair = _pair(moments, resource)
    if pair is not None:
        if [each.path for each in pair] != ["startTime", "endTime"]:
            guessed.options += ["--start", pair[0].path, "--end", pair[1].path]
        _texts(pair, guessed)
        return True
    clocks = [each for each in seen if each.kind in {Kind.CLOCK, Kind.RANGE}]
    days = sorted(
        (each for each in moments if each.has("date", "dates", "day", "days")),
        key=lambda each: (each.kind is Kind.EPOCH, each.kind is Kind.INSTANT, len(each.words) == 1),
    )
    if clocks and days:
        return _by_clock(days[0], clocks, seen, guessed)
    starts = [each for each in moments if _starts(each)] or [each for each in moments if not at_midnight(each)]
    starts = [each for each in starts if each.kind is not Kind.DAY]
    if starts:
        if starts[0].path != "startTime":
            guessed.add("--start", starts[0].path)
        _length(seen, guessed)
        _texts(starts[:1], guessed)
        return True
    if days:
        guessed.add("--date-field", days[0].path)
        _texts(days[:1], guessed)
    return bool(days)


def _pair(moments: Sequence[Seen], resource: Seen) -> tuple[Seen, Seen] | None:
    """A start and an end that belong together: in one object, of one kind, near the resource."""
    pairs = [(start, end) for start in moments if _starts(start) for end in moments if _ends(end)]
    together = [each for each in pairs if each[0].parent == each[1].parent and each[0].kind is each[1].kind]
    ordered = sorted(together, key=lambda each: (each[0].kind is Kind.EPOCH, each[0].parent != resource.parent))
    return ordered[0] if ordered else None


def _starts(each: Seen) -> bool:
    return each.has("from") or any(part in each.name for part in _STARTS)


def _ends(each: Seen) -> bool:
    return each.has("to", "until", "till") or any(part in each.name for part in _ENDS)


def _by_clock(day: Seen, clocks: Sequence[Seen], seen: Sequence[Seen], guessed: Guess) -> bool:
    """A day and a time of day."""
    start = next(filter(_starts, clocks), None) or next((each for each in clocks if not _ends(each)), clocks[0])
    guessed.add("--date-field", day.path)
    guessed.add("--time-field", start.path)
    end = next((each for each in clocks if _ends(each) and each is not start), None)
    if end is not None:
        if end.path != "endTime":
            guessed.add("--end", end.path)
    elif start.kind is Kind.CLOCK:
        _length(seen, guessed)
    _texts([day, start], guessed)
    return True


def _length(seen: Sequence[Seen], guessed: Guess) -> None:
    """How long one lasts, where no end is stored."""
    for each in seen:
        numbers = [number for value in each.values if (number := count(value)) is not None]
        if each.has(*_LENGTHS) and numbers and min(numbers) >= _SHORTEST:
            guessed.add("--minutes-field", each.path)
            return
    guessed.add("--minutes", str(_MINUTES))
    guessed.hints.append(f"How long one lasts is in no field; {_MINUTES} minutes are only a guess.")


def _texts(used: Sequence[Seen], guessed: Guess) -> None:
    """How the texts are written, and that somebody has to say where."""
    written = next((each.written for each in used if each.written is not None), None)
    if written is not None:
        guessed.add("--date-format", written)
    if any(isinstance(value, str) and not value.endswith("Z") for each in used for value in each.values[:1]):
        guessed.hints.append("Texts are read as UTC; if they are local times, say of where by --timezone.")


def _statuses(seen: Sequence[Seen], guessed: Guess) -> None:
    """Which statuses occupy, and which flags say that nothing does."""
    named = [each for each in seen if each.words[-1:] in {("status",), ("state",)} and each.kind is Kind.TEXT]
    named = [each for each in named if not each.has("payment", "paid", "address", "billing")]
    status = min(named, key=lambda each: (len(each.path.split(".")), len(each.words)), default=None)
    if status is None or len(set(status.values)) > _FEW:
        guessed.options.append("--no-status")
    else:
        if status.path != "status":
            guessed.add("--status-field", status.path)
        _blocking(status, guessed)
    for each in seen:
        if each.has("deleted"):
            continue  # the trash is known
        if each.kind is Kind.FLAG and each.has(*_CANCELLED):
            guessed.add("--free-if", f"{each.path}=true")
        elif each.kind is Kind.FLAG and each.has(*_TAKEN):
            guessed.add("--free-if", f"{each.path}=false")
        elif each.has(*_CANCELLED) and each.words[-1] in {"at", "on", "date"}:
            guessed.add("--free-if", each.path)


def _blocking(status: Seen, guessed: Guess) -> None:
    often = Counter(value for value in status.values if isinstance(value, str) and value.strip() and "," not in value)
    names = {folded(value): value for value, _ in reversed(often.most_common()) if folded(value) not in IDLE_FOLDED}
    if names and not names.keys() <= set(BLOCKING):
        guessed.add("--blocking", ",".join(reversed(names.values())))
        guessed.hints.append("Leave out of --blocking what does not occupy; --free-if says so of a status.")


async def _units(reading: ReadOnlyDatabase, seen: Sequence[Seen], resource: Seen, guessed: Guess) -> None:
    """How much one takes, and what there is."""
    numbers = [each for each in seen if each.kind is Kind.NUMBER and each is not resource]
    several = [each for each in numbers if each.has(*_SHARES) and any(count(value, 2) for value in each.values)]
    if several:
        guessed.add("--units-field", several[0].path)
    for collection in _namesakes(resource, await reading.collections()):
        try:
            known = survey(await reading.sample(collection, _CATALOGUE))
        except DeniedError:  # a guess without it is one as well
            continue
        ids = {identity(value) for value in known.fields["_id"].values} if "_id" in known.fields else set()
        if ids.isdisjoint(map(identity, resource.values)):
            continue
        words = (*_STOCK, *_ROOMY) if several else _STOCK  # how many fit into a room is not how many rooms there are
        for path, its in known.fields.items():
            each = look(path, its)
            if each.kind is Kind.NUMBER and each.has(*words) and "." not in path:
                guessed.add("--capacity-from", f"{collection}.{path}")
                return


def _namesakes(resource: Seen, collections: Sequence[str]) -> Iterator[str]:
    """The collections that are named like what is booked: `cars` for `car` and `carId`."""
    name = "".join(word for word in resource.words if word not in _ID_WORDS or word == "type").removesuffix("s")
    for collection in collections:
        if collection.lower().replace("_", "").replace("-", "").removesuffix("s") == name:
            yield collection
