"""`reserva reconcile`: looks for resources above their capacity, now and in this process."""

import asyncio
from contextlib import aclosing

import click
import structlog
from pymongo.errors import PyMongoError
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from app.cli.common import DONE, FOUND, CouldNot, asynchronous, configured, console, opened, result, say
from app.reconciliation import service
from app.reconciliation.alerts import Alerts
from app.reconciliation.runs import Kind, LostRun
from app.reconciliation.schemas import RunAnswer
from app.storage.client import Store
from app.storage.documents import Run

ALERT_SECONDS = 15.0
"""How long a run that is over waits for the alert URL."""

log = structlog.get_logger(__name__)


@click.command(epilog="Example:  reserva reconcile --full --json")
@click.option("--full", is_flag=True, help="Look at every resource, not only at those that changed.")
@click.option("--resource", metavar="ID", help="Look at this resource only.")
@click.option("--json", "as_json", is_flag=True, help="Print the run as one line of JSON.")
@asynchronous
async def reconcile(*, full: bool, resource: str | None, as_json: bool) -> int:
    """Look for stretches of time in which a resource is booked above its capacity.

    No reservation is changed. Each finding that is new is a warning in the log that names the reservations, and goes
    to RESERVA_ALERT_URL. While a worker reconciles, this waits for its turn.

    Exit codes: 0 nothing found but what somebody accepted, 1 something found, 2 could not look.
    """
    if full and resource is not None:
        raise CouldNot("Choose one of --full and --resource.")
    kind: Kind = "full" if full else "resource" if resource is not None else "incremental"
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    settings = configured()
    async with opened(settings) as store, aclosing(Alerts(settings)) as alerts:
        if resource is not None and not await service.is_known(store, resource):
            raise CouldNot(f"There is no resource {resource!r}.")
        with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
            task = progress.add_task("starting")

            def watch(seen: service.Progress) -> None:
                said = f"{seen.tally.scanned:,} reservations of {seen.tally.resources:,} resources"
                progress.update(task, description=f"{said}, {seen.findings:,} findings")

            try:
                run = await service.reconcile_reservations(store, kind, resource, watch, alerts)
            except LostRun as lost:
                raise CouldNot(f"This process stood still for too long. {lost}") from lost
        await _announce(store, alerts)
    if as_json:
        result(RunAnswer.model_validate(run).model_dump(mode="json", exclude_none=True))
    else:
        _tell(run)
    if run.state != "succeeded":
        raise CouldNot(run.error or f"The reconciliation ended {run.state}.")
    return FOUND if run.unaccepted else DONE


async def _announce(store: Store, alerts: Alerts) -> None:
    """Tell the alert URL what it was not told yet, once and for a while; the worker tells the rest."""
    try:
        async with asyncio.timeout(ALERT_SECONDS):
            await alerts.announce(store)
    except TimeoutError:
        log.warning("the alert URL takes long; the worker tells it the rest")
    except PyMongoError as error:
        log.warning("the alert URL was not told; the worker tells it", error=str(error))


def _tell(run: Run) -> None:
    findings = "no finding" if not run.findings else f"{run.findings:,} findings, {run.conflicts:,} conflicts"
    if run.findings != run.unaccepted:
        findings += f", {run.findings - run.unaccepted:,} of the findings accepted"
    say(f"{run.scanned:,} reservations of {run.resources:,} resources: {findings}")
