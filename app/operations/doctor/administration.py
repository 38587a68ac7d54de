"""What an operator has set: settings and keys."""

from collections.abc import AsyncIterator
from datetime import datetime

from app.access.key_uses import EXPIRY_WARNING
from app.access.service import Keys
from app.access.tokens import is_over
from app.migration.report import number
from app.operations.doctor.observation import Observation, ok, warning
from app.operations.doctor.subject import Subject
from app.settings import VARIABLES, Settings

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
    if settings.rate_limit == "0" or settings.address_rate_limit == "0":
        yield warning(
            "Requests are not limited: one client can take all the time, or try keys without end.",
            "Set RESERVA_RATE_LIMIT and RESERVA_RATE_LIMIT_ADDRESS, unless a proxy limits requests.",
        )


async def check_keys(subject: Subject) -> AsyncIterator[Observation]:
    """Whether there are keys, and which of them end soon."""
    now = subject.store.clock.now()
    live = [key for key in await Keys(subject.store).all() if not is_over(key, now)]
    if not live:
        yield warning("There is no live key: nobody can call the API.", "Make one: `reserva keys create`.")
        return
    ends = {key.id: key.expires_at for key in live if key.expires_at and key.expires_at <= now + EXPIRY_WARNING}
    ending = sorted((key for key in live if key.id in ends), key=lambda key: ends[key.id])
    for key in ending[:KEYS_SHOWN]:
        use = f"was last used at {_shown(key.last_used_at)}" if key.last_used_at else "was never used"
        yield warning(
            f"The key {key.id} ({key.name}) ends at {_shown(ends[key.id])} and {use}.",
            "Give it a later `expiresAt` (PATCH /v1/keys/{prefix}), or make another one: `reserva keys create`.",
        )
    if len(ending) > KEYS_SHOWN:
        yield warning(f"{len(ending) - KEYS_SHOWN} more keys end soon.", "`reserva keys list` shows them.")
    if not ending:
        yield ok(f"{number(len(live), 'live key')}; none ends within {EXPIRY_WARNING.days} days.")


def _shown(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"
