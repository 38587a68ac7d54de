"""The application: its rooms wired together. Nothing is decided here."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from litestar import Litestar
from litestar.di import Provide
from litestar.plugins.pydantic import PydanticPlugin
from msgspec import Raw

from app.access.keyring import Keyring
from app.access.routes import KEYRING, describe_access, open_to_all
from app.availability import routes as availability
from app.availability.service import Availability
from app.booking import BookingService
from app.catalogue import routes as catalogue
from app.catalogue.planning import Planner
from app.catalogue.service import Catalogue
from app.http import docs
from app.http.deadlines import Deadlines
from app.http.failure_log import FailureLog
from app.http.middleware import OuterMiddleware, finish_headers
from app.http.models import Answer
from app.http.problems import EXCEPTION_HANDLERS, TROUBLES
from app.http.request import MAX_BODY_BYTES, Request
from app.http.request_checks import RequestChecks
from app.http.shutdown import CLOSING, Shutdown
from app.job_queue import Queue
from app.migration.migrate import verify
from app.operations import routes as operations
from app.operations.service import Operations
from app.reconciliation import routes as reconciliation
from app.reconciliation.findings.service import Findings
from app.reconciliation.optimistic_followups import Suspects
from app.reconciliation.service import Reconciliations
from app.reservations import group_routes as groups
from app.reservations import move_routes as moves
from app.reservations import routes as reservations
from app.reservations.groups import Groups
from app.reservations.hold_limits import HoldLimits
from app.reservations.moves import Moves
from app.reservations.service import Reservations
from app.settings import Settings, read_settings
from app.storage.client import Store, connect
from app.storage.rule_cache import RuleCache, RuleReader
from app.work import WORK, WorkPool


def create() -> Litestar:
    """The application by the environment's settings, for a server that wants a factory."""
    return create_app(read_settings())


def create_app(settings: Settings, *, store: Store | None = None) -> Litestar:
    """The application.

    Args:
        settings: What the process was told.
        store: A database that is open already and stays so; None: the settings' own, from start to stop.
    """
    conventions, closing = RequestChecks(), Shutdown()
    rooms: dict[str, Any] = {}

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        opened = store or await connect(settings)
        try:
            await verify(opened)
            rules = RuleCache(atomic=opened.mode == "strict")
            booking, queue = BookingService(opened, rules), Queue(settings.redis_url)
            suspects = Suspects(opened, queue)
            app.state[WORK] = work = WorkPool()
            app.state[TROUBLES] = troubles = FailureLog()
            reader = RuleReader(opened.database, rules, work)
            edits = Catalogue(booking, Planner(opened, reader, work))
            free = Availability(opened, reader, work)
            rooms.update(_rooms(settings, booking, queue, suspects, free, closing) | {"catalogue": edits})
            app.state[KEYRING] = Keyring(opened)
            try:
                await booking.start()
                yield
            finally:
                await booking.stop()
                work.close()
                troubles.close()
                await suspects.close()
                await queue.close()
        finally:
            if store is None:
                await opened.close()

    app = Litestar(
        route_handlers=[
            operations.router,
            catalogue.router,
            reservations.router,
            groups.router,
            moves.router,
            availability.router,
            reconciliation.router,
            docs.router(open_to_all()),
        ],
        request_class=Request,
        lifespan=[lifespan],
        dependencies=_dependencies(rooms),
        plugins=[PydanticPlugin(prefer_alias=True, validate_strict=True)],
        type_encoders={Answer: lambda answer: Raw(answer.to_json())},
        before_request=conventions,
        before_send=[finish_headers, closing.stamp],
        exception_handlers=EXCEPTION_HANDLERS,
        request_max_body_size=MAX_BODY_BYTES,
        openapi_config=docs.config(),
        logging_config=None,
    )
    app.asgi_handler = OuterMiddleware(Deadlines(app.asgi_handler))
    app.state[CLOSING] = closing
    conventions.collect(app)
    describe_access(app)
    return app


def _rooms(
    settings: Settings, booking: BookingService, queue: Queue, suspects: Suspects, free: Availability, closing: Shutdown
) -> dict[str, Any]:
    """What is built once the database is open, under the names by which handlers ask for it."""
    store = booking.store
    holds = HoldLimits(store, of_a_customer=settings.max_holds, of_a_key=settings.max_anonymous_holds)
    one_by_one = Reservations(store, booking, free, holds=holds, on_write=suspects)
    return {
        "operations": Operations(store, closing),
        "reconciliations": Reconciliations(store, queue),
        "findings": Findings(store, free),
        "availability": free,
        "groups": Groups(store, booking, one_by_one),
        "moves": Moves(store, booking, one_by_one),
        "reservations": one_by_one,
    }


def _dependencies(rooms: Mapping[str, Any]) -> dict[str, Provide]:
    """How handlers get them; one each: two at once are resolved in a task group, which costs more than the handler."""

    def of(name: str, kind: type[Any]) -> Provide:
        provider: Callable[[], Any] = lambda: rooms[name]  # noqa: E731  # its annotation is set below
        provider.__annotations__["return"] = kind
        return Provide(provider, sync_to_thread=False)

    return {
        "catalogue": of("catalogue", Catalogue),
        "operations": of("operations", Operations),
        "reconciliations": of("reconciliations", Reconciliations),
        "findings": of("findings", Findings),
        "availability": of("availability", Availability),
        "groups": of("groups", Groups),
        "moves": of("moves", Moves),
        "reservations": of("reservations", Reservations),
    }
