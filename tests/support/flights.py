"""A month of departures from New York as reservations of aircraft: real times, real overlaps."""

import csv
import gzip
from pathlib import Path

import pytest

from tests.support.servers import DATA


def flights_file() -> Path:
    """The file, gzipped CSV as `reserva import` reads it; a test without it is skipped."""
    path = DATA / "flights-2013-01.csv.gz"
    if not path.exists():
        pytest.skip(f"there is no {path.name}; RESERVA_TEST_DATA names its folder")
    return path


def flights() -> list[dict[str, str]]:
    """Its rows, in its order."""
    with gzip.open(flights_file(), "rt", newline="") as file:
        return list(csv.DictReader(file))
