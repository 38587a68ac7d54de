"""The metadata that callers attach to reservations and to the catalogue: how much there may be, and how it merges."""

from collections.abc import Mapping

KEYS_MAX = 20
KEY_LENGTH = 40
VALUE_LENGTH = 500


def merged(stored: Mapping[str, object] | None, patch: Mapping[str, object]) -> dict[str, object]:
    """Stored metadata with a merge patch applied by key; None removes a key."""
    return {key: value for key, value in {**(stored or {}), **patch}.items() if value is not None}
