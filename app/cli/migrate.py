"""`reserva migrate`: prepares a database, or says what keeps it from being prepared."""

import click

from app.cli.common import DONE, FOUND, asynchronous, console, opened, say
from app.storage.migrate import Finding, Report
from app.storage.migrate import migrate as bring_up

_WITH_IDS = ("null-key", "duplicate-key")


@click.command("migrate", epilog="Example:  MONGODB_URL=mongodb://db:27017/reserva reserva migrate --check")
@click.option("--check", is_flag=True, help="Only report; exit code 1 if something is missing or different.")
@click.option("--apply", is_flag=True, help="Also unset idempotency keys that are null or on several reservations.")
@asynchronous
async def migrate(*, check: bool, apply: bool) -> int:
    """Build the missing indexes and guards of a database.

    Nothing is dropped or removed. What would change reservations waits for --apply; until then nothing at all is
    done and the exit code is 1.
    """
    if check and apply:
        raise click.UsageError("--check only reports and --apply changes; choose one.")
    async with opened(verified=False) as store:
        report = await bring_up(store, check=check, apply=apply)
        name = store.database.name
    _tell(report)
    if report.clean:
        console.print(f"The database {name} is ready.")
        return DONE
    if any(finding.kind in _WITH_IDS for finding in report.findings) and not check:
        console.print("Nothing was built or changed. `reserva migrate --apply` unsets these keys and builds the rest.")
    else:
        console.print(f"The database {name} is not ready.")
    return FOUND


def _tell(report: Report) -> None:
    """One line for each thing, on standard output."""
    for changed in report.changed:
        say(f"changed  {changed}")
    for built in report.built:
        say(f"built    {built}")
    for finding in report.findings:
        say(f"found    {_line(finding)}")


def _line(finding: Finding) -> str:
    ids = f" Reservations: {', '.join(finding.ids)}" if finding.kind in _WITH_IDS else ""
    return f"{finding.kind}: {finding.detail}{ids}"
