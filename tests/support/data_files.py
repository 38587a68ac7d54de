"""Files that are too large for the repository; `TEST_DATA` names their folder, and without it tests skip."""

import csv
import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest
from bson import json_util

FOLDER = os.environ.get("TEST_DATA")


def data_file(name: str) -> Path:
    """One of the files; the test that asks for it is skipped where it is missing."""
    path = Path(FOLDER, name) if FOLDER else None
    if path is None or not path.exists():
        pytest.skip(f"there is no {name}; TEST_DATA names its folder")
    return path


def flights_file() -> Path:
    """A month of departures from New York as reservations of aircraft, gzipped CSV as `reserva import` reads it."""
    return data_file("flights-2013-01.csv.gz")


def flights() -> list[dict[str, str]]:
    """The rows of that file, in its order."""
    with gzip.open(flights_file(), "rt", newline="") as file:
        return list(csv.DictReader(file))


def payload_sample() -> dict[str, Any]:
    """A dump of a database of payload-reserve's, by collection: its `indexes` and `documents`."""
    text = data_file("payload-reserve-sample.json").read_text(encoding="utf-8")
    collections: dict[str, Any] = json_util.loads(text)["collections"]
    return collections


def payload_truth() -> dict[str, Any]:
    """What is wrong in that database, counted by another program."""
    truth: dict[str, Any] = json.loads(data_file("payload-reserve-sample.truth.json").read_text(encoding="utf-8"))
    return truth
