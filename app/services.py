"""The services that request handlers ask for by name."""

from dataclasses import dataclass

from litestar.di import Provide

from app.access.service import Keys
from app.availability.service import Availability
from app.calendars.service import Calendars
from app.catalogue.closures import ClosureEdits
from app.catalogue.service import Catalogue
from app.events.service import Feed
from app.exporting.service import Exports
from app.operations.doctor.service import Doctor
from app.operations.metrics import Scrape
from app.operations.service import Operations
from app.privacy.erasure import Erasure
from app.reconciliation.findings.service import Findings
from app.reconciliation.service import Reconciliations
from app.reservations.groups import Groups
from app.reservations.moves import Moves
from app.reservations.series import AllSeries
from app.reservations.service import Reservations
from app.utilisation.service import Reports
from app.webhooks.service import Webhooks


@dataclass(frozen=True, slots=True)
class Services:
    """One service for each group of routes, built once the database is open."""

    availability: Availability
    calendars: Calendars
    catalogue: Catalogue
    closures: ClosureEdits
    doctor: Doctor
    erasure: Erasure
    exports: Exports
    feed: Feed
    findings: Findings
    groups: Groups
    keys: Keys
    moves: Moves
    operations: Operations
    reconciliations: Reconciliations
    reports: Reports
    reservations: Reservations
    scrape: Scrape
    series: AllSeries
    webhooks: Webhooks


class Providers:
    """Litestar's providers of the services; `services` is set when the application starts.

    A handler takes one service: Litestar resolves two in a task group, which costs more than the handler itself.
    """

    services: Services

    def availability(self) -> Availability:
        """The service behind slots and explanations."""
        return self.services.availability

    def calendars(self) -> Calendars:
        """The service behind calendars."""
        return self.services.calendars

    def catalogue(self) -> Catalogue:
        """The service behind resources, services and customers."""
        return self.services.catalogue

    def doctor(self) -> Doctor:
        """The service behind the operator's examination."""
        return self.services.doctor

    def closures(self) -> ClosureEdits:
        """The service behind changes of closures."""
        return self.services.closures

    def erasure(self) -> Erasure:
        """The service behind the erasure and the export of customers."""
        return self.services.erasure

    def exports(self) -> Exports:
        """The service behind files of reservations."""
        return self.services.exports

    def feed(self) -> Feed:
        """The service behind events."""
        return self.services.feed

    def findings(self) -> Findings:
        """The service behind the review of findings."""
        return self.services.findings

    def groups(self) -> Groups:
        """The service behind reservations that are booked together."""
        return self.services.groups

    def keys(self) -> Keys:
        """The service behind API keys."""
        return self.services.keys

    def moves(self) -> Moves:
        """The service behind moves of several reservations."""
        return self.services.moves

    def operations(self) -> Operations:
        """The service behind readiness."""
        return self.services.operations

    def reconciliations(self) -> Reconciliations:
        """The service behind runs of the reconciliation."""
        return self.services.reconciliations

    def reports(self) -> Reports:
        """The service behind reports of utilisation."""
        return self.services.reports

    def reservations(self) -> Reservations:
        """The service behind single reservations."""
        return self.services.reservations

    def scrape(self) -> Scrape:
        """The metrics."""
        return self.services.scrape

    def series(self) -> AllSeries:
        """The service behind reservations that recur."""
        return self.services.series

    def webhooks(self) -> Webhooks:
        """The service behind webhooks."""
        return self.services.webhooks

    def dependencies(self) -> dict[str, Provide]:
        """The providers by the names that handlers use for their services."""
        return {
            "availability": Provide(self.availability, sync_to_thread=False),
            "calendars": Provide(self.calendars, sync_to_thread=False),
            "catalogue": Provide(self.catalogue, sync_to_thread=False),
            "doctor": Provide(self.doctor, sync_to_thread=False),
            "closures": Provide(self.closures, sync_to_thread=False),
            "erasure": Provide(self.erasure, sync_to_thread=False),
            "exports": Provide(self.exports, sync_to_thread=False),
            "feed": Provide(self.feed, sync_to_thread=False),
            "findings": Provide(self.findings, sync_to_thread=False),
            "groups": Provide(self.groups, sync_to_thread=False),
            "keys": Provide(self.keys, sync_to_thread=False),
            "moves": Provide(self.moves, sync_to_thread=False),
            "operations": Provide(self.operations, sync_to_thread=False),
            "reconciliations": Provide(self.reconciliations, sync_to_thread=False),
            "reports": Provide(self.reports, sync_to_thread=False),
            "reservations": Provide(self.reservations, sync_to_thread=False),
            "scrape": Provide(self.scrape, sync_to_thread=False),
            "series": Provide(self.series, sync_to_thread=False),
            "webhooks": Provide(self.webhooks, sync_to_thread=False),
        }
