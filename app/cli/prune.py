"""`reserva prune`: removes what is older than the settings say, now."""

import click
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from app.cli.common import asynchronous, console, open_store, result, write_line
from app.cli.configuration import DONE, read_configuration
from app.operations import pruning
from app.operations.pruning import PrunedKind


@click.command(epilog="Example:  reserva prune --json")
@click.option("--json", "as_json", is_flag=True, help="Print the numbers as one line of JSON.")
@asynchronous
async def prune(*, as_json: bool) -> int:
    """Remove what is too old.

    Those are runs (RESERVA_RUNS_KEPT_DAYS), stored answers (RESERVA_ANSWERS_DAYS), events (RESERVA_EVENTS_DAYS), the
    records of deliveries to webhooks, and sessions of the console.

    The worker does so once a day. Reservations are never removed; of one whose stored answer is removed nothing else
    changes, and its Idempotency-Key can be used anew. Ctrl-C ends it after any batch; what is left is removed next
    time.
    """
    settings = read_configuration()
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    async with open_store(settings) as store:
        with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
            task = bar.add_task("looking")

            def on_pruned(kind: PrunedKind, removed: int) -> None:
                bar.update(task, description=f"{removed:,} {kind} removed")

            removed = await pruning.prune(store, settings, on_pruned)
    if as_json:
        result(removed)
    else:
        write_line("\n".join(f"{kind:12}{count:,}" for kind, count in removed.items()))
    return DONE
