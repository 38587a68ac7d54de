"""`reserva keys`: makes, lists, revokes and rotates API keys."""

from datetime import datetime
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from app.access import service
from app.caller import SCOPES
from app.cli.common import asynchronous, console, open_store, render_text, result, write_line
from app.cli.configuration import DONE, CommandFailed
from app.storage.documents import Key
from app.storage.values import printable


@click.group(epilog="Example:  reserva keys create --name website --scope reservations:write")
def keys() -> None:
    """Make, list, revoke and rotate API keys. Only a hash of a key is stored."""


@keys.command(
    epilog="Example:  reserva keys create --name website --scope reservations:read --scope reservations:write"
)
@click.option("--name", required=True, help="What people call it, up to 100 characters.")
@click.option("--scope", "scopes", multiple=True, required=True, type=click.Choice(SCOPES), help="Once or more.")
@click.option("--customer", metavar="ID", help="Bind it to a customer: it sees and books only for that one.")
@click.option("--expires-days", metavar="D", type=click.IntRange(min=1), help="It ends after so many days.")
@click.option("--rate-limit", metavar="RATE", help="Its own limit of requests, like 100/minute; 0: none.")
@asynchronous
async def create(
    name: str, scopes: tuple[str, ...], customer: str | None, expires_days: int | None, rate_limit: str | None
) -> int:
    """Make a key and print it, alone on standard output. It is shown this once."""
    async with open_store() as store:
        made = await service.create_key(
            store, name, scopes, customer=customer, expires_days=expires_days, rate_limit=rate_limit
        )
    _print_token(made)
    return DONE


@keys.command("list", epilog="Example:  reserva keys list --json")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON.")
@asynchronous
async def list_(*, as_json: bool) -> int:
    """List all keys, also those that are over, oldest first."""
    async with open_store() as store:
        keys_ = await service.list_keys(store)
        now = store.clock.now()
    if as_json:
        result([_key_json(key, now) for key in keys_])
        return DONE
    table = Table(box=None, pad_edge=False)
    for heading in ("prefix", "name", "scopes", "customer", "rate limit", "state", "created"):
        table.add_column(heading, overflow="fold")
    for key in keys_:
        row = _key_json(key, now)
        own = (key.id, key.name, " ".join(key.scopes), key.customer or "", key.rate_limit or "")
        cells = (*own, row["state"], row["createdAt"])
        table.add_row(*(Text(printable(cell)) for cell in cells))
    write_line(render_text(table))
    return DONE


@keys.command(epilog="Example:  reserva keys revoke k3yprefx")
@click.argument("prefix")
@asynchronous
async def revoke(prefix: str) -> int:
    """End a key for good, everywhere within a second. Repeating it is harmless."""
    async with open_store() as store:
        key = await service.revoke_key(store, prefix)
    console.print(f"Revoked {key.id} ({key.name}).", markup=False)
    return DONE


@keys.command(epilog="Example:  reserva keys rotate k3yprefx")
@click.argument("prefix")
@asynchronous
async def rotate(prefix: str) -> int:
    """Give a key a new secret and print the key, alone on standard output; the old one ends within a second."""
    async with open_store() as store:
        made = await service.rotate_key(store, prefix)
    _print_token(made)
    return DONE


def _print_token(made: service.IssuedKey) -> None:
    """Print a token. If that fails, the key needs a new secret, because its token is stored nowhere."""
    try:
        write_line(made.token)
    except CommandFailed as error:
        remedy = f"`reserva keys rotate {made.key.id}` gives it a secret that you can read"
        raise CommandFailed(
            f"{error.message} The key {made.key.id} ({made.key.name}) was made all the same; {remedy}."
        ) from error


def _key_json(key: Key, now: datetime) -> dict[str, Any]:
    """The JSON of a key, without its hash."""
    state = "revoked" if key.revoked_at else "expired" if service.is_over(key, now) else "live"
    fields = key.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"secret_hash", "id"})
    return {"prefix": key.id, "state": state, **fields}
