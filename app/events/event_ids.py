"""The ids of events as clients see them: their places, with leading zeros, so that texts have the order of events."""

_DIGITS = 16


def event_id(place: int) -> str:
    """The id of the event at a place."""
    return f"{place:0{_DIGITS}d}"


def place_of(identity: str) -> int:
    """The place in an id that `event_id` has made."""
    return int(identity)
