"""One instance after the other restarted under load: whether every request is answered as if nothing happened."""

from app.settings import Settings
from tests.bench.report import Bench, Report, status_counts
from tests.support.rolling import INSTANCES, Rolled, roll

CONNECTIONS = 32
CREATED = 201


def run(bench: Bench) -> Report:
    """Two instances behind a client that offers a request again only where the connection for it was refused."""
    lame_duck_seconds = Settings.model_fields["lame_duck_seconds"].default
    report = Report(
        f"Rolling restart of {INSTANCES} instances under {CONNECTIONS} connections, {bench.seconds:.0f} s each",
        ("the proxy", "restarts", "answers", "connections refused", "failed", "stored", "longest s"),
    )
    for checked in (True, False):
        with bench.stage() as stage:
            rolled = roll(
                stage,
                connections=CONNECTIONS,
                seconds=bench.seconds,
                lame_duck_seconds=lame_duck_seconds,
                checked=checked,
            )
        _enter(report, "asks /readyz" if checked else "asks nothing", rolled)
    return report


def _enter(report: Report, proxy: str, rolled: Rolled) -> None:
    traffic = rolled.traffic
    report.rows.append(
        (
            proxy,
            str(len(rolled.codes) - INSTANCES),
            status_counts(traffic.statuses),
            f"{traffic.refused:,}",
            f"{len(traffic.failures):,}",
            f"{rolled.stored:,}",
            f"{traffic.longest_seconds:.2f}",
        )
    )
    report.notes += sorted(set(traffic.failures))[:5]
    report.promise(f"{proxy}: no connection is cut", holds=not traffic.failures)
    report.promise(f"{proxy}: every booking is accepted", holds=set(traffic.statuses) == {CREATED})
    report.promise(f"{proxy}: what was accepted is stored", holds=rolled.stored == traffic.statuses[CREATED])
    report.promise(f"{proxy}: every instance ends by itself", holds=set(rolled.codes) == {0})
