"""The measure of all others: one insert a request, and no check whatsoever.

It inserts the document that the product stores, into a collection with the same indexes.
"""

from typing import Any

from litestar import Litestar, post
from litestar.datastructures import State
from litestar.params import JSONBody

from app.bench.bare import bare, document_of, open_reservations, shown


@post("/v1/reservations")
async def insert(data: JSONBody[dict[str, Any]], state: State) -> dict[str, Any]:
    """Insert, and answer with what was inserted."""
    document = document_of(data)
    await state.database.insert_one(document)
    return shown(document)


def create() -> Litestar:
    """The app."""
    return bare(insert, open_reservations)
