"""The floors of the design: imports between rooms, homes of libraries, and the modules that write reservations."""

import ast
import asyncio
import re
import sys
from collections.abc import Iterable, Iterator
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import TypeAlias

import pytest

from app.storage.documents import DOCUMENTS

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted(path for top in ("app", "worker") for path in (ROOT / top).rglob("*.py"))

FLOORS = {
    "app.domain": 1,
    "app.storage": 2,
    "app.cluster": 3,
    "app.migration": 4,
    "app.booking": 4,
    "app.refusals": 5,
    "app.access": 5,
    "app.calendars": 5,
    "app.catalogue": 5,
    "app.reservations": 5,
    "app.availability": 5,
    "app.reconciliation": 5,
    "app.importing": 5,
    "app.exporting": 5,
    "app.audit": 5,
    "app.privacy": 5,
    "app.events": 5,
    "app.operations": 5,
    "app.utilisation": 5,
    "app.webhooks": 5,
    "app.console": 5,
    "app.main": 6,
    "app.application": 6,
    "app.services": 6,
    "app.cli": 6,
    "app.trial": 6,
    "app.bench": 6,
    "worker": 6,
}
BESIDE = {
    "app": set[str](),
    "app.caller": {"app.errors"},
    "app.collector": set[str](),
    "app.cron": set[str](),
    "app.deadline": {"app.errors"},
    "app.environment": set[str](),
    "app.errors": set[str](),
    "app.http": {
        "app.caller",
        "app.deadline",
        "app.domain",
        "app.errors",
        "app.logs",
        "app.outages",
        "app.settings",
        "app.telemetry",
        "app.work",
    },
    "app.job_queue": {"app.telemetry"},
    "app.logs": {"app.repeats", "app.settings", "app.telemetry"},
    "app.open_files": set[str](),
    "app.os_process": set[str](),
    "app.outages": {"app.errors"},
    "app.outgoing": {"app.single_flight", "app.telemetry"},
    "app.pids": set[str](),
    "app.rates": set[str](),
    "app.repeats": set[str](),
    "app.retries": set[str](),
    "app.setting_values": set[str](),
    "app.settings": {"app.cron", "app.environment", "app.rates", "app.setting_values"},
    "app.single_flight": {"app.deadline"},
    "app.telemetry": {"app.errors"},
    "app.trial_state": {"app.pids"},
    "app.wakeups": {"app.deadline"},
    "app.work": {"app.errors"},
}
"""What stands beside the floors, with all that it may import of ours; all but floor 1 may import it."""

LIBRARIES = {
    "litestar": [
        "app/application.py",
        "app/main.py",
        "app/services.py",
        "app/http/*.py",
        "app/*/*routes.py",
        "app/console/pages.py",
        "app/cli/process.py",
        "app/bench/*.py",
    ],
    "jinja2": ["app/console/pages.py"],
    "beanie": ["app/storage/*.py"],
    "motor": ["app/storage/*.py"],
    "arq": ["worker/*.py", "app/cli/worker.py", "app/job_queue.py"],
    "cronsim": ["app/cron.py"],
    "dateutil": ["app/reservations/recurrence.py"],
    "icalendar": ["app/calendars/rendering.py"],
    "limits": ["app/access/shared_counts.py"],
    "tenacity": ["app/retries.py", "app/importing/submission.py", "app/reconciliation/guard_updates.py"],
    "cryptography": ["app/webhooks/secret_box.py"],
    "httpcore": ["app/outgoing/*.py"],
    "standardwebhooks": ["app/outgoing/receiver.py"],
    "granian": ["app/cli/*.py", "app/trial/*.py"],
    "opentelemetry": ["app/telemetry/opentelemetry_tracer.py"],
    "prometheus_client": ["app/telemetry/*.py", "app/operations/metrics.py"],
    "click": ["app/cli/*.py", "app/trial/*.py"],
    "rich": ["app/cli/*.py", "app/trial/*.py"],
}
"""Where alone a library may be imported. Jobs are put into the queue by one module of floor 4."""

CLIENTS = {"AsyncIOMotorClient", "MongoClient", "AsyncMongoClient", "MotorClient"}
WRITES = {
    "insert_one",
    "insert_many",
    "update_one",
    "update_many",
    "replace_one",
    "delete_one",
    "delete_many",
    "bulk_write",
    "find_one_and_update",
    "find_one_and_replace",
    "find_one_and_delete",
    "insert",
    "save",
    "replace",
    "upsert",
    "delete",
}
WRITERS = ["app/booking/*.py", "app/migration/duplicate_keys.py"]
"""Who may write reservations; strays only takes a key off."""


def named(path: Path) -> str:
    """The path below the root, for people and patterns."""
    return path.relative_to(ROOT).as_posix()


def module_of(path: Path) -> str:
    """The dotted name of a file."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@cache
def parsed(path: Path) -> ast.Module:
    """The syntax tree of a file; parsed once, because nearly all tests here read every file."""
    return ast.parse(path.read_text(encoding="utf-8"), named(path))


@cache
def imports(path: Path) -> tuple[str, ...]:
    """Everything that a file imports, dotted; a name from a package counts as a module of it, to be on the safe side.

    `import_module("…")` counts as well.
    """
    return tuple(_imports(path))


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{named(path)}:{node.lineno} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            yield from (str(item.value) for item in node.args[:1] if isinstance(item, ast.Constant))


def room_of(module: str) -> str | None:
    """The room, or what stands beside the floors, that a dotted name lies in; none for what is not ours."""
    known = [name for name in (*FLOORS, *BESIDE) if module == name or module.startswith(f"{name}.")]
    return max(known, key=len, default=None)


def may_import(room: str, other: str) -> bool:
    """Whether a room may know another."""
    if other in {room, "app"}:
        return True
    if room in BESIDE:
        return other in BESIDE[room]
    if other in BESIDE:
        return FLOORS[room] > 1
    return FLOORS[other] <= FLOORS[room]


@pytest.mark.parametrize("path", FILES, ids=named)
def test_imports_go_down(path: Path) -> None:
    """No room imports one above it, and what stands beside the floors imports only what is listed."""
    room = room_of(module_of(path))
    assert room is not None, f"{named(path)} is in no room"

    upward = [name for name in imports(path) if (other := room_of(name)) and not may_import(room, other)]

    assert upward == []


def package_of(module: str) -> str | None:
    """The package below `app` that a dotted name lies in, or `worker`; none for a module that is no package's."""
    parts = module.split(".")
    if parts[0] == "worker":
        return "worker"
    is_package = parts[0] == "app" and len(parts) > 1 and (ROOT / "app" / parts[1]).is_dir()
    return f"app.{parts[1]}" if is_package else None


def package_imports() -> dict[str, set[str]]:
    """Which packages each package imports."""
    arrows: dict[str, set[str]] = {}
    for path in FILES:
        package = package_of(module_of(path))
        if package is not None:
            others = {other for name in imports(path) if (other := package_of(name)) is not None}
            arrows.setdefault(package, set()).update(others - {package})
    return arrows


def reachable(arrows: dict[str, set[str]], start: str) -> set[str]:
    """All that a package imports, directly or through others."""
    found: set[str] = set()
    ahead = [start]
    while ahead:
        new = arrows.get(ahead.pop(), set()) - found
        found |= new
        ahead += new
    return found


def test_no_circle_of_packages() -> None:
    """A room can be read without those that read it: no two import each other, directly or through others."""
    arrows = package_imports()

    assert {package for package in arrows if package in reachable(arrows, package)} == set()


def test_booking_is_entered_by_its_front_door() -> None:
    """Users of the write path take the names that `app.booking` exports, so its modules can change."""
    modules = {module_of(path) for path in FILES if path.is_relative_to(ROOT / "app" / "booking")}
    inside = [
        f"{named(path)} imports {name}"
        for path in FILES
        if module_of(path) not in modules
        for name in imports(path)
        if ".".join(name.split(".")[:3]) in modules
    ]

    assert inside == []


def test_every_file_is_in_a_room() -> None:
    """There is no room that this table does not know."""
    nowhere = [named(path) for path in FILES if room_of(module_of(path)) in {None, "app"}]

    assert nowhere == ["app/__init__.py"]


@pytest.mark.parametrize("path", [path for path in FILES if "domain" in path.parts], ids=named)
def test_the_lowest_floor_is_pure(path: Path) -> None:
    """Floor 1 knows the standard library and itself: nothing is awaited, no clock is read and nothing opened.

    `typing_extensions` stands for the typing of later versions of the standard library.
    """
    tree = parsed(path)
    tops = {name.split(".", 1)[0] for name in imports(path)}
    calls = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}

    assert tops - {"app", "typing_extensions"} <= set(sys.stdlib_module_names)
    assert not tops & {"asyncio", "time", "os", "random", "secrets", "socket", "threading"}
    assert not any(isinstance(node, ast.Await | ast.AsyncFunctionDef) for node in ast.walk(tree))
    assert not calls & {"datetime.now", "datetime.utcnow", "date.today", "datetime.today", "open", "print"}


def test_production_does_not_import_the_trial() -> None:
    """The trial is no part of a deployment: nothing but its own command and the benchmark imports it."""
    importers = {
        named(path)
        for path in FILES
        if not named(path).startswith(("app/trial/", "app/bench/"))
        and any(f"{name}.".startswith("app.trial.") for name in imports(path))
    }

    assert importers == {"app/cli/dev.py", "app/cli/bench.py"}


def test_process_helper_needs_the_standard_library_alone() -> None:
    """It also runs as a program without site packages, and without ours."""
    tops = {name.split(".", 1)[0] for name in imports(ROOT / "app/os_process.py")}

    assert tops <= set(sys.stdlib_module_names)


@pytest.mark.parametrize("library", LIBRARIES)
def test_libraries_stay_where_they_belong(library: str) -> None:
    """A library that could be replaced one day is imported in the listed places only."""
    strangers = [
        named(path)
        for path in FILES
        if any(name.split(".", 1)[0] == library for name in imports(path))
        and not any(fnmatch(named(path), pattern) for pattern in LIBRARIES[library])
    ]

    assert strangers == []


def test_only_storage_makes_clients() -> None:
    """There is one place in which a connection to MongoDB begins, and another for a check that must be cheap."""
    makers = {
        named(path)
        for path in FILES
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in CLIENTS
    }

    assert makers == {"app/storage/client.py", "app/cluster/worker_liveness.py"}


Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


def functions_of(tree: ast.AST) -> Iterator[Function]:
    """All functions and methods."""
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def calls_in(function: ast.AST) -> Iterator[tuple[str, str]]:
    """What a function calls: the expression before the last dot, and the name after it."""
    for node in ast.walk(function):
        if isinstance(node, ast.Call):
            value, _, name = ast.unparse(node.func).rpartition(".")
            yield value, name


def is_write(value: str, name: str) -> bool:
    """Whether a call writes to a collection, or inserts a document; sets and lists have methods of such names too."""
    return name in WRITES and ("_" in name or value.lower().endswith("store"))


def writers_among(paths: Iterable[Path], *, unless: str = "") -> set[str]:
    """The functions of some modules that write, by themselves or by others of them, but for those that call one."""
    every = [(each.name, set(calls_in(each))) for path in paths for each in functions_of(parsed(path))]
    calls = [(name, those) for name, those in every if unless not in {called for _, called in those}]
    writing = {name for name, those in calls if any(is_write(*call) for call in those)}
    while (
        grown := {
            name for name, those in calls if any(called in writing and value in {"", "self"} for value, called in those)
        }
        - writing
    ):
        writing |= grown
    return writing


def test_only_booking_writes_reservations() -> None:
    """Nothing but the write path changes a reservation, because nothing else holds its guard.

    What the stores of reservations write counts where it is called.
    """
    stores = [path for path in FILES if fnmatch(named(path), "app/storage/*reservation*.py")]
    methods = writers_among(stores)
    writers = {
        named(path)
        for path in FILES
        if path not in stores
        for value, name in calls_in(parsed(path))
        if (name in WRITES and "reservation" in value.lower()) or name in methods
    }

    assert {name for name in writers if not any(fnmatch(name, pattern) for pattern in WRITERS)} == set()


OPERATOR = re.compile(r"\$[a-zA-Z]+")

COLLECTIONS = ["app/storage/*", "app/migration/*", "app/booking/*_driver.py"]
"""Where collections are named. The drivers are handed the names that steps carry."""


def names_a_collection(node: ast.AST) -> bool:
    """Whether an expression picks a collection of a database, leniently decoded or not."""
    if isinstance(node, ast.Subscript):
        return ast.unparse(node.value).lower().endswith("database")
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return False
    return node.func.attr in {"lenient", "get_collection", "get_motor_collection"}


def test_only_storage_names_collections() -> None:
    """A collection or one of its fields is renamed in the stores of `app.storage`, and nowhere above them."""
    naming = {named(path) for path in FILES if any(names_a_collection(node) for node in ast.walk(parsed(path)))}

    assert {name for name in naming if not any(fnmatch(name, pattern) for pattern in COLLECTIONS)} == set()


OPERATORS = [
    "app/storage/*",
    "app/migration/*",
    "app/audit/people.py",
    "app/audit/pipeline.py",
    "app/cluster/worker_liveness.py",
    "app/http/openapi*.py",
    "app/bench/check_then_insert.py",
]
"""Where operators of MongoDB are written, or `$ref` and `$defs` of JSON Schema."""


def test_only_storage_words_filters_and_updates() -> None:
    """A stored field is renamed in `app.storage`: above it no query or update for MongoDB is put together."""
    wording = {
        named(path)
        for path in FILES
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and OPERATOR.fullmatch(node.value)
    }

    assert {name for name in wording if not any(fnmatch(name, pattern) for pattern in OPERATORS)} == set()


def test_the_write_path_names_no_collection() -> None:
    """Its steps and updates carry the names that storage gives them."""
    collections = {document.Settings.name for document in DOCUMENTS}
    naming = {
        f"{named(path)}:{node.lineno}"
        for path in FILES
        if fnmatch(named(path), "app/booking/*.py")
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Constant) and node.value in collections
    }

    assert naming == set()


SENDERS = [
    "access/*",
    "catalogue/*",
    "reservations/*",
    "availability/*",
    "reconciliation/findings/*",
    "webhooks/service.py",
]
"""Who writes for requests past the write path. Of the rest of `reconciliation` only `RunStore.enqueue` does."""

UNSEEN = ["guards", "pools", "reach", "foreign_occupancies", "clock", "pending_closures"]
"""Modules of storage that write only what no client sees: before the object that needs it, and harmless without."""


METHODS_OF_OTHERS = {name for kind in (list, dict, set, asyncio.Lock) for name in dir(kind)}


def test_every_write_for_a_request_is_declared_before() -> None:
    """Else a request that is late would be answered with the word that nothing was done.

    A method of a store says so itself, or its caller does.
    """
    stores = [path for path in FILES if fnmatch(named(path), "app/storage/*.py") and path.stem not in UNSEEN]
    unsaid = writers_among(stores, unless="sending") - METHODS_OF_OTHERS
    silent = [
        f"{named(path)}:{function.lineno}"
        for path in FILES
        if any(fnmatch(named(path), f"app/{pattern}") for pattern in SENDERS)
        for function in functions_of(parsed(path))
        if any(is_write(*call) or call[1] in unsaid for call in calls_in(function))
        and "sending" not in {name for _, name in calls_in(function)}
    ]

    assert silent == []


def test_writing_methods_of_stores_have_names_of_their_own() -> None:
    """The test above knows them by their names, so none is called like a method of a set or a lock.

    `Store.insert` is known by what it is called on; leases are the worker's.
    """
    stores = [path for path in FILES if fnmatch(named(path), "app/storage/*.py") and path.stem not in UNSEEN]

    assert writers_among(stores) & METHODS_OF_OTHERS <= {"insert", "acquire", "release"}


def test_nothing_relies_on_assert() -> None:
    """`python -O` takes assertions out, so what guards data raises."""
    relying = [
        f"{named(path)}:{node.lineno}"
        for path in FILES
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.Assert)
    ]

    assert relying == []
