"""`reserva reconcile`: runs a reconciliation in this process, now."""

import asyncio
from contextlib import aclosing

import click
import structlog
from pymongo.errors import PyMongoError
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from app.cli.common import asynchronous, console, open_store, result, write_line
from app.cli.configuration import DONE, FOUND, CommandFailed, read_configuration
from app.domain.ids import ResourceId
from app.domain.instants import render
from app.reconciliation import engine
from app.reconciliation.alerts import Alerts
from app.reconciliation.findings.context import FindingsContext, read_context
from app.reconciliation.findings.listing import list_findings
from app.reconciliation.progress import RunProgress
from app.reconciliation.schemas import ReconciliationAnswer
from app.storage.client import Store
from app.storage.documents import Finding, Run, RunKind
from app.storage.finding_pages import FindingFilters
from app.storage.leases import OwnershipLost
from app.storage.row_reader import TRASH
from app.storage.sweep_rows import is_known_resource
from app.storage.values import identity, printable, row_key, shown_text

LINES_MAX, NAMES_MAX = 50, 10
"""Findings that are printed, and reservations of each whose customers are named."""
LEFT_OUT_MAX_PERCENT = 99
"""Percent of the rows: if more are unreadable, the run counts as failed."""

ALERT_SECONDS = 15.0
"""How long the command waits for the alert URL after its run."""

log = structlog.get_logger(__name__)


@click.command(epilog="Example:  reserva reconcile --json")
@click.option("--full", is_flag=True, help="Check every resource; the default.")
@click.option("--incremental", is_flag=True, help="Check the resources that changed, and those with findings.")
@click.option("--resource", metavar="ID", help="Check only this resource.")
@click.option("--json", "as_json", is_flag=True, help="Print the run as one line of JSON.")
@asynchronous
async def reconcile(*, full: bool, incremental: bool, resource: ResourceId | None, as_json: bool) -> int:
    """Find stretches of time in which a resource is booked above its capacity.

    No reservation is changed. All open and acknowledged findings are printed. Each new finding is logged as a warning
    that names its reservations, and is sent to RESERVA_ALERT_URL. While another process reconciles, this command
    waits for its turn.

    Exit codes: 0 no findings except accepted ones, 1 other findings, 2 the run failed, or read almost nothing.
    """
    if full + incremental + (resource is not None) > 1:
        raise CommandFailed("Choose one of --full, --incremental and --resource.")
    kind: RunKind = "resource" if resource is not None else "incremental" if incremental else "full"
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    settings = read_configuration()
    async with open_store(settings) as store, aclosing(Alerts(settings)) as alerts:
        if resource is not None and not await is_known_resource(store, resource):
            raise CommandFailed(f"There is no resource {resource!r}.")
        with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
            task = bar.add_task("starting")

            def on_progress(run: RunProgress) -> None:
                read = f"{run.tally.scanned:,} reservations of {run.tally.resources:,} resources"
                bar.update(task, description=f"{read}, {run.findings:,} findings")

            try:
                run = await engine.reconcile_reservations(store, kind, resource, on_progress, alerts)
            except OwnershipLost as lost:
                raise CommandFailed(f"This process stood still for too long. {lost}") from lost
        await _announce(store, alerts)
        lines = [] if as_json else await _unaccepted(store, resource)
    if as_json:
        result(ReconciliationAnswer.model_validate(run).model_dump(mode="json", exclude_none=True))
    else:
        write_line("\n".join([*lines, _summary(run)]))
    if run.state != "succeeded":
        raise CommandFailed(run.error or f"The reconciliation ended {run.state}.")
    if message := _unreadable_message(run):
        raise CommandFailed(message)
    return FOUND if run.unaccepted else DONE


async def _announce(store: Store, alerts: Alerts) -> None:
    """Send the waiting alerts once, within a limited time; the worker sends the rest."""
    try:
        async with asyncio.timeout(ALERT_SECONDS):
            await alerts.announce(store)
    except TimeoutError:
        log.warning("the alert URL takes long; the worker sends the other alerts")
    except PyMongoError as error:
        log.warning("the database failed while alerts were sent; the worker sends the others", error=str(error))


async def _unaccepted(store: Store, resource: ResourceId | None) -> list[str]:
    """A line for each of the first open or acknowledged findings, and one with the number of the others."""
    filters = FindingFilters(states=("open", "acknowledged"), resources=() if resource is None else (resource,))
    found = await list_findings(store, filters, "from", LINES_MAX, None)
    context = await read_context(store, found.findings)
    lines = [_line(finding, context) for finding in found.findings]
    more = found.total - len(lines)
    return [*lines, f"… and {more:,} findings more"] if more > 0 else lines


def _line(finding: Finding, context: FindingsContext) -> str:
    name = context.resources.get(finding.resource)
    place = finding.resource if name is None else f"{finding.resource} ({name})"
    named = [_holder(each, context) for each in finding.reservations[:NAMES_MAX]]
    more = len(finding.reservations) - len(named)
    who = ", ".join([*dict.fromkeys(named), *([f"{more:,} more"] if more > 0 else [])])
    time = f"{render(finding.from_)} to {render(finding.to)}"
    return printable(f"{finding.id}  {place}  {time}  {finding.peak} of {finding.capacity}  {finding.state}  {who}")


def _holder(reservation: object, context: FindingsContext) -> str:
    """The customer's name, else the customer's id, else the reservation's."""
    customer = identity(context.reservations.get(row_key(reservation), {}).get("customer"))
    return shown_text(reservation) if customer is None else context.customers.get(customer, customer)


def _summary(run: Run) -> str:
    findings = "no finding" if not run.findings else f"{run.findings:,} findings, {run.conflicts:,} conflicts"
    if run.findings != run.unaccepted:
        findings += f", {run.findings - run.unaccepted:,} of the findings accepted"
    left_out = "".join(f"\nleft out, {reason}: {count:,}" for reason, count in (run.left_out or {}).items())
    return f"{run.scanned:,} reservations of {run.resources:,} resources: {findings}{left_out}"


def _unreadable_message(run: Run) -> str | None:
    """A sentence if hardly any row could be read, because the result then proves nothing."""
    left_out = run.left_out or {}
    read = run.scanned - left_out.get(TRASH, 0)
    if not run.unreadable or run.unreadable * 100 < read * LEFT_OUT_MAX_PERCENT:
        return None
    unread = {reason: count for reason, count in left_out.items() if reason != TRASH}
    most = max(unread, key=lambda reason: unread[reason])
    return (
        f"Of {read:,} reservations {run.unreadable:,} cannot be read (mostly: {most}), so this says "
        "nothing of them. `reserva audit` shows what is in them, and reads other shapes."
    )
