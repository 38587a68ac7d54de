"""`reserva migrate` on databases of other programs: first of all Payload's, with its indexes and ids."""

from collections.abc import Iterator
from typing import Any

import pytest
from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from app.domain.instants import HOUR
from app.migration.migrate import migrate, verify
from app.migration.report import MigrationReport
from app.storage.client import Store
from app.storage.documents import DOCUMENTS
from tests.support.data_files import payload_sample
from tests.support.http_client import serving
from tests.support.migration_rows import FIRST, database_documents, ids_by_kind, room_row

pytestmark = pytest.mark.servers("wire")

TWINS = {("reservation_idempotency", "idempotencyKey_1"), ("resource_updated", "updatedAt_1")}


def mongoose_indexes(fields: dict[str, dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The indexes that Mongoose makes of fields with `index` or `unique`: each by itself, in the background."""
    for name, options in fields.items():
        yield {"key": {name: 1}, "name": f"{name}_1", "background": True, **options}


PAYLOAD: dict[str, dict[str, dict[str, Any]]] = {
    "reservations": {
        "createdAt": {},
        "updatedAt": {},
        "customer": {},
        "cancellationToken": {},
        "idempotencyKey": {"unique": True, "sparse": True},
    },
    "resources": {"createdAt": {}, "updatedAt": {}, "services": {}},
    "services": {"createdAt": {}, "updatedAt": {}},
    "customers": {"createdAt": {}, "updatedAt": {}, "email": {"unique": True}},
    "payload-preferences": {"user": {}, "key": {}},
}
"""The fields that payload-reserve indexes, by collection, and one collection that is no business of ours."""

CHAIR, DESK, CUT = (ObjectId(f"6b045bb9d61c1aa0be9c5d{end}") for end in ("21", "23", "15"))


@pytest.fixture
async def payload(bare_store: Store) -> Store:
    """A database as Payload has made it: its indexes, ObjectIds everywhere, and a visit of two hours."""
    database = bare_store.database
    for collection, fields in PAYLOAD.items():
        await database.command({"createIndexes": collection, "indexes": [*mongoose_indexes(fields)]})
    await database["resources"].insert_many(
        [{"_id": each, "name": "Anna", "services": [CUT], "quantity": 1, "__v": 0} for each in (CHAIR, DESK)]
    )
    await database["services"].insert_one({"_id": CUT, "name": "Cut", "duration": 60})
    await database["customers"].insert_one({"_id": ObjectId(), "email": "ines@example.com"})
    await database["payload-preferences"].insert_one({"user": ObjectId(), "key": "nav"})
    await database["reservations"].insert_one(room_row(resource=CHAIR, service=CUT, items=[], guest={}))
    return bare_store


@pytest.mark.promise("migration")
async def test_it_is_prepared_and_nothing_of_it_is_touched(payload: Store) -> None:
    """One run: twins are taken for ours, the rest is built, no document or index of Payload's changes."""
    before = await database_documents(payload)

    report = await migrate(payload)

    after = await database_documents(payload)
    assert report.clean
    assert {note.ids for note in report.notes if note.kind == "index-twin"} == TWINS
    assert not {f"index {ours}" for ours, _ in TWINS} & set(report.built)
    for name, (documents, indexes) in before.items():
        assert documents == after[name][0]
        assert indexes <= after[name][1]
    assert after["payload-preferences"] == before["payload-preferences"]
    assert (await migrate(payload)).built == []
    await verify(payload)


async def test_the_twin_does_what_ours_would(payload: Store) -> None:
    """A key is on one reservation at most, and reservations without a key are as many as there are."""
    await migrate(payload)
    reservations = payload.database["reservations"]

    await reservations.insert_many([room_row(), room_row(), room_row(idempotencyKey="a")])

    with pytest.raises(DuplicateKeyError):
        await reservations.insert_one(room_row(idempotencyKey="a"))


async def test_ids_that_cannot_be_named_are_noted_and_get_no_guard(payload: Store) -> None:
    """Resources and services with ObjectIds are counted, with what helps; there is no guard under such an id."""
    report = await migrate(payload)

    notes = {note.kind: note for note in report.notes}
    assert notes["resource-foreign"].ids == (str(CHAIR), str(DESK))
    assert notes["resource-foreign"].detail.startswith("The API cannot name 2 resources")
    assert "POST /v1/resources" in notes["resource-foreign"].detail
    assert notes["service-foreign"].ids == (str(CUT),)
    assert await payload.database["guards"].count_documents({}) == 0


async def test_a_resource_of_ours_beside_it_can_be_booked(payload: Store) -> None:
    """With a resource of the same 24 digits, its guard knows what is booked under the ObjectId, and no note remains."""
    await payload.database["reservations"].insert_one(room_row(resource=CHAIR, endTime=FIRST.replace(hour=20)))
    await payload.database["resources"].insert_one({"_id": str(CHAIR), "name": "Anna"})

    report = await migrate(payload)

    guard = await payload.database["guards"].find_one({"_id": str(CHAIR)})
    assert guard is not None
    assert guard["reachBack"] >= 11 * HOUR
    assert {note.kind: note.ids for note in report.notes}["resource-foreign"] == (str(DESK),)


async def test_an_index_that_refuses_ours_is_noted(payload: Store) -> None:
    """Payload's unique, not sparse `email_1` lets only one customer have no e-mail; who prepares is warned of it."""
    report = await migrate(payload)

    (note,) = [note for note in report.notes if note.kind == "index-foreign"]
    assert note.ids == ("email_1",)
    assert 'db.customers.dropIndex("email_1")' in note.detail


async def test_keys_made_before_the_index_are_found_first(payload: Store) -> None:
    """Where Payload's index was made without `sparse`, that and the keys are found together, and nothing is built."""
    reservations = payload.database["reservations"]
    await reservations.drop_index("idempotencyKey_1")
    await reservations.insert_many([room_row(_id=1, idempotencyKey="a"), room_row(_id=2, idempotencyKey="a")])
    await reservations.create_index("idempotencyKey", name="idempotencyKey_1")
    before = await database_documents(payload)

    report = await migrate(payload, apply=True)

    found = ids_by_kind(report)
    assert found["index-differs"] == [("reservation_idempotency",)]
    assert found["duplicate-key"] == [("1", "2")]
    assert found["index-missing"]
    assert before == await database_documents(payload)
    await reservations.drop_index("idempotencyKey_1")
    assert (await migrate(payload, apply=True)).clean


@pytest.mark.parametrize(
    ("options", "oddity"),
    [
        ({"viewOn": "payload-preferences", "pipeline": []}, "view"),
        ({"capped": True, "size": 4096}, "capped"),
        ({"collation": {"locale": "en"}}, "collation is en"),
    ],
)
async def test_what_has_a_name_of_ours_and_is_no_plain_collection(
    payload: Store, options: dict[str, Any], oddity: str
) -> None:
    """A view, a capped collection or one with a collation is named with what helps, and nothing is built."""
    await payload.database.command({"create": "findings", **options})
    listed = [each async for each in await payload.database.list_collections(filter={"name": "findings"})]
    if not (listed[0]["type"] == "view" or options.keys() & listed[0]["options"].keys()):
        pytest.skip("this server makes a plain collection of it")

    report = await migrate(payload)

    (finding,) = report.obstacles
    assert (finding.kind, finding.ids) == ("collection-differs", ("findings",))
    assert oddity in finding.detail
    assert "db.findings.drop()" in finding.detail
    assert "guards" not in await payload.database.list_collection_names()


@pytest.mark.parametrize(
    ("name", "theirs"),
    [("guards", {"seq": "x"}), ("guards", {"_id": {"a": 1}}), ("occupancies", {"resource": "r"})],
    ids=["guards", "a guard by an object", "occupancies"],
)
async def test_what_others_keep_under_a_name_of_ours(payload: Store, name: str, theirs: dict[str, Any]) -> None:
    """Documents that cannot be Reserva's are named with what helps, nothing is built, and they stay as they are."""
    await payload.database[name].insert_one(dict(theirs))
    before = await database_documents(payload)

    report = await migrate(payload)

    (finding,) = report.obstacles
    assert (finding.kind, finding.ids) == ("collection-differs", (name,))
    assert "1 document" in finding.detail
    assert before == await database_documents(payload)
    await payload.database[name].delete_many({})
    assert (await migrate(payload)).clean


@pytest.mark.servers("mongod")
async def test_lists_that_no_index_can_take_are_found_first(payload: Store) -> None:
    """MongoDB indexes no two lists of one document together; such a document is named before anything is built."""
    await payload.database["reservations"].insert_one(room_row(_id="odd", resource=["a", "b"], status=["confirmed"]))

    report = await migrate(payload)

    assert [(finding.kind, finding.ids) for finding in report.obstacles] == [("list-values", ("odd",))]
    assert "guards" not in await payload.database.list_collection_names()
    await payload.database["reservations"].update_one({"_id": "odd"}, {"$set": {"status": "confirmed"}})
    assert (await migrate(payload)).clean


async def test_a_real_one_is_prepared(bare_store: Store) -> None:
    """A dump of payload-reserve's own database, its indexes and documents: prepared in one run and left as it is."""
    for name, collection in payload_sample().items():
        await bare_store.database.create_collection(name)
        indexes = [index for index in collection["indexes"] if index["name"] != "_id_"]
        await bare_store.database.command({"createIndexes": name, "indexes": indexes})
        if collection["documents"]:
            await bare_store.database[name].insert_many(collection["documents"])
    before = await database_documents(bare_store)

    report = await migrate(bare_store)

    after = await database_documents(bare_store)
    assert report.clean
    assert {note.ids for note in report.notes if note.kind == "index-twin"} == TWINS
    assert all(documents == after[name][0] for name, (documents, _) in before.items())
    assert await migrate(bare_store) == MigrationReport(notes=report.notes)
    assert {document.Settings.name for document in DOCUMENTS} <= after.keys()


async def test_a_migrated_database_is_ready_to_serve(payload: Store) -> None:
    """With twins in the place of our indexes `/readyz` is 200; where one of them is dropped, it is 503."""
    await migrate(payload)
    async with serving(payload) as client:
        ready = await client.get("/readyz")
        await payload.database["reservations"].drop_index("idempotencyKey_1")
        refused = await client.get("/readyz")

    assert (ready.status_code, refused.status_code) == (200, 503)
