"""The composition root: builds the services and the application around them."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager

from litestar import Litestar

from app.access.key_uses import KeyUses
from app.access.keyring import KEYRING, Keyring
from app.access.rate_limits import RATE_LIMITS, RateLimits
from app.access.service import Keys
from app.access.sessions import SESSIONS, Sessions
from app.application import HANDLER, LIFESPAN, PROVIDERS, application
from app.availability.service import Availability
from app.booking import BookingService, Meter
from app.calendars.service import Calendars
from app.catalogue.closures import ClosureEdits
from app.catalogue.planning import Planner
from app.catalogue.service import Catalogue
from app.events.service import Feed
from app.exporting.service import Exports
from app.http.deadlines import Deadlines
from app.http.failure_log import FailureLog
from app.http.middleware import OuterMiddleware
from app.http.observer import RequestObserver
from app.http.problems import FAILURE_LOG
from app.http.shutdown import SHUTDOWN, Shutdown
from app.job_queue import Queue
from app.migration.migrate import verify
from app.operations.doctor.service import Doctor
from app.operations.metrics import Scrape
from app.operations.service import Operations
from app.operations.start import log_start
from app.privacy.erasure import Erasure
from app.reconciliation.findings.service import Findings
from app.reconciliation.optimistic_followups import OptimisticFollowups
from app.reconciliation.service import Reconciliations
from app.reservations.groups import Groups
from app.reservations.hold_limits import HoldLimits
from app.reservations.moves import Moves
from app.reservations.series import AllSeries
from app.reservations.series_plan import SeriesPlanner
from app.reservations.service import Reservations
from app.services import Providers, Services
from app.settings import Settings, read_settings
from app.storage.client import Store, connect
from app.storage.errors import failures_explained
from app.storage.event_log import EventLog
from app.storage.rule_cache import RuleCache, RuleReader
from app.telemetry.metrics import Metrics
from app.telemetry.pool_listener import PoolListener
from app.telemetry.sampler import Sampler
from app.telemetry.tracer import tracer_of_environment
from app.utilisation.service import Reports
from app.wakeups import Wakeups
from app.webhooks.service import Webhooks
from app.work import WORK, WorkPool


def create() -> Litestar:
    """The application by the environment's settings, for a server that wants a factory."""
    return create_app(read_settings())


def create_app(settings: Settings, *, store: Store | None = None) -> Litestar:
    """The application.

    Args:
        settings: The settings of the process.
        store: A database that is open already and stays so; None: the settings' own, from start to stop.
    """
    return equip(application(), settings, store=store)


def equip(app: Litestar, settings: Settings, *, store: Store | None = None) -> Litestar:
    """Give an application what it runs with, before its start; once it has stopped it may be given something else.

    Args:
        app: An `application()`.
        settings: The settings of the process.
        store: See `create_app`.
    """
    providers: Providers = app.state[PROVIDERS]
    shutdown, metrics, pool, tracer = Shutdown(), Metrics(), PoolListener(), tracer_of_environment()

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncGenerator[None]:
        # What was opened last is closed first, each whatever becomes of the others.
        async with AsyncExitStack() as stack:
            opened = store or await connect(settings, listeners=[pool])
            if store is None:
                stack.push_async_callback(opened.close)
            with failures_explained():
                await verify(opened)
            log_start(settings, opened)
            if tracer is not None:
                stack.push_async_callback(asyncio.to_thread, tracer.close)
            app.state[RATE_LIMITS] = limits = RateLimits(settings)
            stack.push_async_callback(limits.close)
            queue = Queue(settings.redis_url)
            stack.push_async_callback(queue.close)
            followups = OptimisticFollowups(opened, queue)
            stack.push_async_callback(followups.close)
            wakeups = Wakeups(settings.redis_url, opened.database.name)
            stack.push_async_callback(wakeups.close)
            feed = await stack.enter_async_context(aclosing(Feed(EventLog(opened), wakeups)))
            app.state[FAILURE_LOG] = failures = FailureLog()
            stack.callback(failures.close)
            app.state[WORK] = work = WorkPool()
            stack.callback(work.close)
            rules = RuleCache(atomic=opened.mode == "strict")
            booking = BookingService(opened, rules, Meter(metrics.booking, tracer), on_write=wakeups.notify)
            stack.push_async_callback(booking.stop)
            reader = RuleReader(opened.database, rules, work)
            availability = Availability(opened, reader, work)
            holds = HoldLimits(opened, of_a_customer=settings.max_holds, of_a_key=settings.max_anonymous_holds)
            reservations = Reservations(opened, booking, availability, holds=holds, on_write=followups)
            scrape = Scrape(
                opened,
                metrics,
                Sampler(
                    metrics,
                    lambda: len(booking.committer.waiting),
                    pool,
                    lambda: feed.readers.streams,
                    lambda: len(opened.damaged_events),
                ),
                queue,
            )
            stack.callback(scrape.stop)
            uses = KeyUses(opened)
            stack.push_async_callback(uses.close)
            app.state[KEYRING] = keyring = Keyring(opened, uses=uses)
            app.state[SESSIONS] = Sessions(opened, is_public_secure=(settings.public_url or "").startswith("https:"))
            providers.services = Services(
                availability=availability,
                calendars=Calendars(opened, keyring, work, public_url=settings.public_url),
                closures=ClosureEdits(opened, work),
                catalogue=Catalogue(booking, Planner(opened, reader, work)),
                doctor=Doctor(settings),
                erasure=Erasure(opened, on_mark=reservations.customers.note_erased),
                exports=Exports(opened),
                feed=feed,
                findings=Findings(opened, availability),
                groups=Groups(opened, booking, reservations),
                keys=Keys(opened, on_change=keyring.forget),
                moves=Moves(opened, booking, reservations),
                operations=Operations(opened, queue, shutdown, lambda: booking.heartbeat.obstacle),
                reconciliations=Reconciliations(opened, queue),
                reports=Reports(opened, reader, work),
                reservations=reservations,
                scrape=scrape,
                series=AllSeries(opened, booking, reservations, SeriesPlanner(reservations, reader), reader),
                webhooks=Webhooks(opened, settings),
            )
            shutdown.on_announce(feed.end, providers.services.exports.end)
            await limits.start()
            await booking.start()
            scrape.start()
            yield

    app.state[SHUTDOWN], app.state[LIFESPAN] = shutdown, lifespan
    app.asgi_handler = RequestObserver(
        OuterMiddleware(Deadlines(app.state[HANDLER]), shutdown),
        metrics.http,
        slow_seconds=settings.slow_request_ms / 1_000,
        tracer=tracer,
    )
    return app
