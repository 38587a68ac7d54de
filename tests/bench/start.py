"""How long `reserva serve` takes from its start to its first answer, and how much of it is computing."""

import signal
import time
from contextlib import suppress
from http.client import HTTPConnection
from statistics import median

from tests.bench.cpu import computed_seconds
from tests.bench.report import Bench, Report
from tests.support.commands import reserva, running_command
from tests.support.servers import free_port

PROCESSES = (1, 2)
POLL_SECONDS = 0.005
LONGEST_SECONDS = 60.0


def run(bench: Bench) -> Report:
    """One and two processes, started by turns against a database that is ready."""
    report = Report("Start of `reserva serve` to its first /healthz", ("processes", "s, median", "from", "to", "CPU s"))
    taken: dict[int, list[tuple[float, float]]] = {number: [] for number in PROCESSES}
    with bench.stage() as stage:
        for _ in range(bench.rounds):
            for number in PROCESSES:
                taken[number].append(_start(stage.url, number))
    for number, starts in taken.items():
        seconds = [each for each, _ in starts]
        cpu = median(each for _, each in starts)
        shown = (median(seconds), min(seconds), max(seconds), cpu)
        report.rows.append((str(number), *(f"{each:.2f}" for each in shown)))
    return report


def _start(url: str, processes: int) -> tuple[float, float]:
    """Seconds until the first answer, and seconds that all processes of this `serve` had computed by then."""
    port = free_port()
    started = time.monotonic()
    command = reserva("serve", "--port", str(port), "--workers", str(processes))
    with running_command(command, env={"MONGODB_URL": url, "RESERVA_MODE": "auto"}) as serving:
        while not _answers(port):
            if time.monotonic() - started > LONGEST_SECONDS:
                raise RuntimeError("it does not answer")
            time.sleep(POLL_SECONDS)
        seconds, cpu = time.monotonic() - started, computed_seconds([serving.process.pid])
        serving.end(signal.SIGTERM)
    return seconds, cpu


def _answers(port: int) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=LONGEST_SECONDS)
    with suppress(OSError):
        connection.request("GET", "/healthz")
        return connection.getresponse().read() != b""
    return False
