"""What an operator has set: settings and keys."""

from collections.abc import AsyncIterator
from datetime import timedelta

from app.access.service import is_over, list_keys
from app.migration.report import number
from app.operations.doctor.observation import Observation, ok, warning
from app.operations.doctor.subject import Subject
from app.settings import VARIABLES, Settings

SOON = timedelta(days=14)
"""How long before the end of a key there is a warning."""
KEYS_SHOWN = 20


async def check_settings(subject: Subject) -> AsyncIterator[Observation]:
    """Which settings differ from their defaults; invalid and unknown ones have ended the command before."""
    settings = subject.settings
    changed = sorted(
        name
        for name, field in VARIABLES.items()
        if getattr(settings, field) != Settings.model_fields[field].get_default()
    )
    yield ok(f"Valid; set: {', '.join(changed)}.")
    if not (settings.max_holds and settings.max_anonymous_holds):
        yield warning(
            "Holds are not limited: one client can block every resource for a day.",
            "Set RESERVA_MAX_HOLDS and RESERVA_MAX_ANONYMOUS_HOLDS above 0.",
        )


async def check_keys(subject: Subject) -> AsyncIterator[Observation]:
    """Whether there are keys, and which of them end soon."""
    now = subject.store.clock.now()
    live = [key for key in await list_keys(subject.store) if not is_over(key, now)]
    if not live:
        yield warning("There is no live key: nobody can call the API.", "Make one: `reserva keys create`.")
        return
    ending = sorted((key.expires_at, key) for key in live if key.expires_at and key.expires_at <= now + SOON)
    for at, key in ending[:KEYS_SHOWN]:
        yield warning(
            f"The key {key.id} ({key.name}) ends at {at:%Y-%m-%d %H:%M} UTC.",
            "Make another one for those who use it: `reserva keys create`.",
        )
    if len(ending) > KEYS_SHOWN:
        yield warning(f"{len(ending) - KEYS_SHOWN} more keys end soon.", "`reserva keys list` shows them.")
    if not ending:
        yield ok(f"{number(len(live), 'live key')}; none ends within {SOON.days} days.")
