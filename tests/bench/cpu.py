"""The processor time of the processes that a benchmark measures."""

import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import psutil


def computed_seconds(processes: Sequence[int]) -> float:
    """CPU seconds of processes and of all below them."""
    total = 0.0
    for process in processes:
        fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        children = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii").split()
        total += computed_seconds([int(child) for child in children])
    return total


def listeners(url: str) -> list[int]:
    """The process of this machine that listens at the port of an address; none where another machine's does."""
    port = urlsplit(url).port
    connections = psutil.net_connections("tcp")
    listening = [each for each in connections if each.status == psutil.CONN_LISTEN]
    return [each.pid for each in listening if getattr(each.laddr, "port", None) == port and each.pid is not None]
