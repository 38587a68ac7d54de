"""`reserva erase`: erases a customer, to the end."""

import click
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from app.cli.common import asynchronous, console, open_store, write_line
from app.cli.configuration import DONE, CommandFailed
from app.privacy import erasure
from app.storage.errors import VersionConflict

ACTOR = "operator"
"""The name of this command in the histories."""


@click.command(epilog="Example:  reserva erase ann")
@click.argument("customer")
@asynchronous
async def erase(customer: str) -> int:
    """Clear the name, the other fields and all texts of a customer, as POST /v1/customers/{id}/erase does.

    Times, statuses and ids stay. Repeating it is harmless, and goes on where an earlier one was interrupted; otherwise
    the worker does so. It also looks once more a minute later, for what other processes were writing at that moment.
    """
    columns = (SpinnerColumn(), TextColumn("{task.completed:,} reservations"), TimeElapsedColumn())
    cleared = 0
    async with open_store() as store:
        with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
            task = bar.add_task("erasing", total=None)

            def on_batch(reservations: int) -> None:
                nonlocal cleared
                cleared += reservations
                bar.update(task, completed=cleared)

            try:
                sweep = await erasure.mark(store, customer, ACTOR)
                await erasure.carry_out(store, sweep, on_batch=on_batch)
            except VersionConflict as error:
                raise CommandFailed("Others are changing the same; repeat the command.") from error
    write_line(f"Erased {customer}. Reservations: {cleared:,}.")
    return DONE
