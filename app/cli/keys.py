"""`reserva keys`: makes, lists, revokes and rotates API keys."""

from datetime import timedelta

import click

from app.access.schemas import OVERLAP_MINUTES_MAX, KeyAnswer, NewKey
from app.access.service import IssuedKey, Keys
from app.caller import SCOPES
from app.cli.common import asynchronous, console, open_store, render_text, result, write_line
from app.cli.configuration import DONE, CommandFailed
from app.cli.tables import table, when
from app.cli.user import user_name
from app.domain.instants import render
from app.http.models import read_body

DAYS_MAX = 36_500

_HEADINGS = ("prefix", "name", "scopes", "customer", "rate limit", "state", "created", "expires", "last used")


@click.group(epilog="Example:  reserva keys create --name website --scope reservations:write")
def keys() -> None:
    """Make, list, revoke and rotate API keys. Only a hash of a key is stored."""


@keys.command(
    epilog="Example:  reserva keys create --name website --scope reservations:read --scope reservations:write"
)
@click.option("--name", required=True, help="What people call it, up to 100 characters.")
@click.option("--scope", "scopes", multiple=True, required=True, type=click.Choice(SCOPES), help="Once or more.")
@click.option("--customer", metavar="ID", help="Bind it to a customer: it sees and books only for that one.")
@click.option("--expires-days", metavar="D", type=click.IntRange(1, DAYS_MAX), help="It ends after so many days.")
@click.option("--rate-limit", metavar="RATE", help="Its own limit of requests, like 100/minute; 0: none.")
@asynchronous
async def create(
    name: str, scopes: tuple[str, ...], customer: str | None, expires_days: int | None, rate_limit: str | None
) -> int:
    """Make a key and print it, alone on standard output. It is shown this once."""
    async with open_store() as store:
        keys_ = Keys(store)
        given = {"customer": customer, "rateLimit": rate_limit}
        body = {"name": name, "scopes": [*dict.fromkeys(scopes)]}
        body |= {field: value for field, value in given.items() if value is not None}
        if expires_days:
            body["expiresAt"] = render(keys_.now() + timedelta(days=expires_days))
        made = await keys_.create(read_body(NewKey, body), user_name())
    _print_token(made)
    return DONE


@keys.command("list", epilog="Example:  reserva keys list --json")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
@asynchronous
async def list_(*, as_json: bool) -> int:
    """List all keys, also those that are over, oldest first."""
    async with open_store() as store:
        stored = Keys(store)
        answers = [KeyAnswer.of(key, stored.now()) for key in await stored.all()]
    if as_json:
        result([answer.model_dump(mode="json", exclude_none=True) for answer in answers])
        return DONE
    rows = [
        (
            *(each.prefix, each.name, " ".join(each.scopes), each.customer, each.rate_limit, each.state),
            *(when(at) if at else None for at in (each.created_at, each.expires_at, each.last_used_at)),
        )
        for each in answers
    ]
    write_line(render_text(table(_HEADINGS, rows)))
    return DONE


@keys.command(epilog="Example:  reserva keys revoke k3yprefx")
@click.argument("prefix")
@asynchronous
async def revoke(prefix: str) -> int:
    """End a key for good, everywhere within a second. Repeating it is harmless."""
    async with open_store() as store:
        key = await Keys(store).revoke(prefix, user_name())
    console.print(f"Revoked {key.id} ({key.name}).", markup=False)
    return DONE


@keys.command(epilog="Example:  reserva keys rotate k3yprefx --overlap-minutes 60")
@click.argument("prefix")
@click.option(
    "--overlap-minutes",
    metavar="M",
    type=click.IntRange(0, OVERLAP_MINUTES_MAX),
    default=0,
    help="For how long the old secret works on, at most a week.",
)
@asynchronous
async def rotate(prefix: str, overlap_minutes: int) -> int:
    """Give a key a new secret and print the key, alone on standard output.

    The old one ends within a second, or after the overlap.
    """
    async with open_store() as store:
        made = await Keys(store).rotate(prefix, user_name(), overlap_minutes=overlap_minutes)
    _print_token(made)
    return DONE


def _print_token(made: IssuedKey) -> None:
    """Print a token. If that fails, the key needs a new secret, because its token is stored nowhere."""
    try:
        write_line(made.token)
    except CommandFailed as error:
        remedy = f"`reserva keys rotate {made.key.id}` gives it a secret that you can read"
        raise CommandFailed(
            f"{error.message} The key {made.key.id} ({made.key.name}) was made all the same; {remedy}."
        ) from error
