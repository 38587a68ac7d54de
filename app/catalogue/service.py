"""The catalogue: resources, services and customers are added, read and edited, never deleted.

Edits of resources and services change what may be booked, so they go through the write path; customers do not.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import TypeVar
from weakref import WeakValueDictionary

from bson import ObjectId

from app.booking import DEADLINE_SECONDS, BookingService, EditResource, PlanOutdated, Stranded, overloaded
from app.caller import Caller
from app.catalogue.changes import Wanted, patched
from app.catalogue.customer_schemas import CustomerPatch, NewCustomer
from app.catalogue.merge_patch import changed_fields, merging
from app.catalogue.planning import Planner
from app.catalogue.queries import read, read_row, read_some
from app.catalogue.schemas import NewResource, NewService, ResourcePatch, ServicePatch
from app.deadline import within
from app.domain.ids import ResourceId, ServiceId
from app.errors import Fault, Problem, invalid_field
from app.http.etags import IfMatch, stale
from app.http.models import Body
from app.http.validation_messages import from_faults
from app.refusals import stranding
from app.retries import retry
from app.storage.bson_types import BsonDocument
from app.storage.catalogue import CatalogueStore, with_id
from app.storage.catalogue_updates import edited_row
from app.storage.documents import CatalogueObject, Customer, Resource, Service, with_change
from app.storage.errors import ValueTaken, VersionConflict
from app.storage.guards import make_guard, make_service_row
from app.storage.pools import join_pools
from app.storage.stored_catalogue import HOURS_FIELDS, noun_of, object_of, version_of
from app.storage.values import excerpt

C = TypeVar("C", bound=CatalogueObject)

EDIT_ATTEMPTS_MAX = 20
"""How often an edit with `If-Match: *` is tried while others change the same object."""


class Catalogue:
    """The catalogue of one store.

    Edits of one resource are made one after the other in a process: each is planned for a version of the resource, so
    of several plans at once all but one would be outdated.
    """

    def __init__(self, booking: BookingService, planner: Planner) -> None:
        self.store = booking.store
        self._stored = CatalogueStore(booking.store)
        self._editing: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._booking = booking
        self._planner = planner

    async def read(self, kind: type[C], identity: str, *, without: Collection[str] = ()) -> C:
        """One object, without some of its stored fields.

        Raises:
            Problem: `not-found`; `invalid` where another program stored it so that it cannot be read.
        """
        return await read(self.store, kind, identity, without=without)

    async def read_schedule(self, resource: ResourceId) -> tuple[BsonDocument, int]:
        """The schedule of a resource as it is stored, empty if there is none, and the version of the resource.

        Raises:
            Problem: `not-found`; `invalid` where another program stored it so that it cannot be read.
        """
        row = await read_row(self.store, Resource, resource, fields=("schedule", "version"))
        schedule = row.get("schedule") or {}
        if not isinstance(schedule, dict):
            raise invalid_field("schedule", f"The schedule of {resource!r} cannot be read: it is {excerpt(schedule)}.")
        return schedule, version_of(Resource, row)

    async def page(
        self,
        kind: type[C],
        limit: int,
        after: str | None,
        query: Mapping[str, object] | None = None,
        only: str | None = None,
        *,
        without: Collection[str] = HOURS_FIELDS,
    ) -> list[C]:
        """Up to `limit` objects by id that match a query and come after an id; `only` that one.

        Without some of their stored fields, the hours of resources always among them.
        """
        bounds = {} if only is None else with_id(only)
        return await read_some(self.store, kind, {**(query or {}), **bounds}, limit, after=after, without=without)

    async def add_resource(self, wanted: NewResource, caller: Caller) -> Resource:
        """Add a resource, after its guard and its entries in pools, so that it is never without them.

        Raises:
            Problem: `invalid` for unknown services, `exists`.
        """
        await self._check_services(wanted.services or [])
        resource = self._new(Resource, wanted, wanted.id, caller)
        await make_guard(self.store, resource.id)
        await join_pools(self.store, resource.id, resource.services)
        return await self._insert(resource)

    async def add_service(self, wanted: NewService, caller: Caller) -> Service:
        """Add a service, after its row among the guards.

        Raises:
            Problem: `exists`.
        """
        service = self._new(Service, wanted, wanted.id, caller)
        await make_service_row(self.store, service.id)
        return await self._insert(service)

    async def add_customer(self, wanted: NewCustomer) -> Customer:
        """Add a customer.

        Raises:
            Problem: `exists`.
        """
        return await self._insert(self._new(Customer, wanted, wanted.id))

    async def edit_resource(
        self, identity: ResourceId, patch: ResourcePatch, if_match: IfMatch, caller: Caller, *, force: bool
    ) -> Resource:
        """Merge a patch into a resource.

        Raises:
            Problem: `not-found`, `stale`, `invalid`, `stranded-bookings`, or what the write path answers.
        """
        await self._check_services(patch.services or [])
        row = await self.change_resource(identity, patched(patch), if_match, caller, force=force)
        return object_of(Resource, row)

    async def change_resource(
        self, identity: ResourceId, wanted: Wanted, if_match: IfMatch, caller: Caller, *, force: bool = False
    ) -> BsonDocument:
        """Change a resource, and return what was read of its row, changed. Nothing is written if nothing changes.

        Raises:
            Problem: `not-found`, `stale`, what the change is refused with, `stranded-bookings`, or what the write path
                answers.
        """
        lock = self._editing.setdefault(identity, asyncio.Lock())
        try:
            async with asyncio.timeout(within(DEADLINE_SECONDS)):
                await lock.acquire()
        except TimeoutError:
            raise _contended() from None
        try:
            return await self._change_resource(identity, wanted, if_match, caller, force=force)
        finally:
            lock.release()

    async def _change_resource(
        self, identity: ResourceId, wanted: Wanted, if_match: IfMatch, caller: Caller, *, force: bool
    ) -> BsonDocument:
        """Change a resource that this process changes nowhere else at the moment."""

        async def plan_and_edit() -> BsonDocument:
            basis = await self._planner.basis(identity, wanted.needs)
            version = if_match.expected(basis.row["version"])
            try:
                plan = await self._planner.plan(basis, wanted, by=caller.prefix, force=force)
                if plan is None:
                    return basis.row
                await join_pools(self.store, identity, plan.after.services - plan.before.services)
                edit = EditResource(identity=identity, plan=plan, version=version, by=caller.prefix)
                changed = await self._booking.edit_resource(edit)
            except Stranded as stranded:
                raise stranding(stranded, caller) from None
            self._planner.rules.keep_resource_rules(plan.after, edit.rules, changed)
            return edited_row(basis.row, plan.change, changed)

        try:
            return await retry(plan_and_edit, EDIT_ATTEMPTS_MAX, on=PlanOutdated)
        except PlanOutdated:
            raise _contended() from None

    async def edit_service(
        self, identity: ServiceId, patch: ServicePatch, if_match: IfMatch, caller: Caller
    ) -> Service:
        """Merge a patch into a service; what is booked stays as it is.

        Raises:
            Problem: `not-found`, `stale`, `invalid`, or what the write path answers.
        """
        current = await self.read(Service, identity)
        version = if_match.expected(current.version)
        apply = merging(NewService, patch)
        if not changed_fields(NewService, current, apply(current)):
            return current
        edit = self._recorded(apply, caller)
        return await self._booking.edit_service(identity, edit, version=version, by=caller.prefix)

    async def edit_customer(self, identity: str, patch: CustomerPatch, if_match: IfMatch) -> Customer:
        """Merge a patch into a customer.

        Raises:
            Problem: `not-found`, `forbidden-transition`, `stale`, `exists`, `invalid`.
        """
        apply: Callable[[Customer], Customer] = merging(NewCustomer, patch)

        async def edit() -> Customer:
            row = await read_row(self.store, Customer, identity)
            current = object_of(Customer, row)
            if current.erased_at is not None:
                raise Problem("forbidden-transition", "The customer was erased; add a new one instead.")
            version = if_match.expected(version_of(Customer, row))
            if not changed_fields(NewCustomer, current, apply(current)):
                return current
            after: Customer = self._dated(apply)(current).model_copy(update={"version": current.version + 1})
            try:
                if await self._stored.update_customer(after, current.version):
                    return after
            except ValueTaken:
                raise _external_id_taken(after) from None
            if version is not None:
                raise stale((await self.read(Customer, identity)).version)
            raise VersionConflict

        try:
            return await retry(edit, EDIT_ATTEMPTS_MAX, on=VersionConflict)
        except VersionConflict:
            raise overloaded("Too many others are changing this customer; nothing was done.") from None

    def _new(self, kind: type[C], wanted: Body, identity: str | None, caller: Caller | None = None) -> C:
        """A new object, with a history that begins with the caller."""
        now = self.store.clock.now()
        values = {name: value for name, value in wanted.sent_fields().items() if name != "id"}
        if caller is not None:
            values["history"] = with_change([], now, caller.prefix, _aliases(kind, values))
        return kind(id=identity or str(ObjectId()), created_at=now, updated_at=now, **values)

    async def _insert(self, made: C) -> C:
        if await self._stored.insert_object(made):
            return made
        if isinstance(made, Customer) and not await self._stored.exists(Customer, made.id):
            raise _external_id_taken(made)
        raise Problem("exists", f"There is a {noun_of(type(made))} {made.id!r} already.")

    async def _check_services(self, identities: list[str]) -> None:
        unknown = await self._stored.find_missing(Service, identities)
        if unknown:
            raise from_faults(
                [
                    Fault(("services", index), f"There is no service {identity!r}.")
                    for index, identity in enumerate(identities)
                    if identity in unknown
                ]
            )

    def _recorded(self, apply: Callable[[Service], Service], caller: Caller) -> Callable[[Service], Service]:
        """An edit of a service with its line in the history."""

        def recorded(current: Service) -> Service:
            after = self._dated(apply)(current)
            changed = changed_fields(NewService, current, after)
            history = with_change(current.history, after.updated_at, caller.prefix, _aliases(Service, changed))
            with_line: Service = after.model_copy(update={"history": history})
            return with_line

        return recorded

    def _dated(self, apply: Callable[[C], C]) -> Callable[[C], C]:
        return lambda current: apply(current).model_copy(update={"updated_at": self.store.clock.now()})


def _aliases(kind: type[CatalogueObject], names: Collection[str]) -> list[str]:
    """The names of fields on the wire, in the order of the kind's."""
    return [about.alias or name for name, about in kind.model_fields.items() if name in names]


def _external_id_taken(customer: Customer) -> Problem:
    detail = f"There is a customer with the externalId {customer.external_id!r} already; ?externalId= finds it."
    return Problem("exists", detail, faults=[Fault(("externalId",), detail)])


def _contended() -> Problem:
    return overloaded("Too many others are changing this resource; nothing was done.")
