"""Webhooks: whether events reach their receivers, and whether a copy of the database could sign."""

from collections.abc import AsyncIterator, Iterator, Sequence

from app.migration.report import number
from app.operations.doctor.observation import Observation, ok, problem, warning
from app.operations.doctor.subject import LATE_SECONDS, Subject
from app.storage.webhooks import WebhookStore
from app.webhooks.metrics import WebhookFigures, read_figures
from app.webhooks.secret_box import SecretBox, SecretDamaged, SecretUnreadable, is_sealed, live_former_secrets


async def check_webhooks(subject: Subject) -> AsyncIterator[Observation]:
    """Whether webhooks are paused or behind, and how their secrets are stored."""
    figures = await read_figures(subject.store)
    box = SecretBox(subject.settings.sealing_keys())
    now = subject.store.clock.now()
    if damaged := await WebhookStore(subject.store).count() - len(figures):
        yield problem(
            f"{number(damaged, 'webhook')} cannot be read, so nothing is sent there: another program has changed it.",
            "The log names it; mend or remove the document in `webhooks`, or make the webhook anew.",
        )
    plain = 0
    for each in figures:
        former = [old.secret for old in live_former_secrets(each.webhook, now)]
        plain += not all(map(is_sealed, (each.webhook.secret, *former)))
        for observation in _observe(each, former, box):
            yield observation
    if plain:
        yield warning(
            f"The secrets of {number(plain, 'webhook')} are stored as they are: a copy of the database can sign.",
            "Set RESERVA_SECRETS_KEY, and rotate the webhooks (POST /v1/webhooks/{id}/rotate).",
        )
    if not any(each.lag_seconds > LATE_SECONDS or each.webhook.paused_at for each in figures):
        yield ok(f"{number(len(figures), 'webhook')}; none is behind.")


def _observe(figures: WebhookFigures, former: Sequence[str], box: SecretBox) -> Iterator[Observation]:
    webhook = figures.webhook
    if fault := _fault(webhook.secret, box):
        yield problem(f"Nothing is sent to the webhook {webhook.id}: {fault}.", _remedy(fault))
    if fault := next(filter(None, (_fault(each, box) for each in former)), None):
        yield warning(f"A former secret of the webhook {webhook.id} does not sign: {fault}.", _remedy(fault))
    if webhook.paused_at is not None:
        since = f"{webhook.paused_at:%Y-%m-%d %H:%M} UTC"
        yield problem(
            f"The webhook {webhook.id} is paused since {since}: {webhook.paused_because}.",
            'Mend its receiver, and take it up again: PATCH /v1/webhooks/{id} with {"active": true}.',
        )
    elif figures.lag_seconds > LATE_SECONDS:
        yield warning(
            f"The webhook {webhook.id} is {figures.lag_seconds:,.0f} s and {figures.lag_events:,} events behind.",
            "See `GET /v1/webhooks/{id}/deliveries`, and whether a worker runs.",
        )


def _fault(secret: str, box: SecretBox) -> SecretUnreadable | None:
    """Why a stored secret cannot be opened; None if it can."""
    try:
        box.open(secret)
    except SecretUnreadable as error:
        return error
    return None


def _remedy(fault: SecretUnreadable) -> str:
    if isinstance(fault, SecretDamaged):
        return "Rotate the webhook (POST /v1/webhooks/{id}/rotate), and give its receiver the new secret."
    return "Set the key that sealed it."
