"""JSON merge patches (RFC 7396) of catalogue objects."""

from collections.abc import Callable
from typing import TypeVar

from app.domain.metadata import merged
from app.http.models import Body, read_body
from app.storage.documents import CatalogueObject
from app.storage.reservation_updates import is_same_json

C = TypeVar("C", bound=CatalogueObject)


def changed_fields(whole: type[Body], before: CatalogueObject, after: CatalogueObject) -> list[str]:
    """The names of the fields of a new object of that kind whose JSON is another before and after."""
    return [
        name
        for name in whole.model_fields
        if name != "id" and not is_same_json(getattr(before, name), getattr(after, name))
    ]


def merging(whole: type[Body], patch: Body) -> Callable[[C], C]:
    """The function by which a patch changes an object.

    The result is validated like the body of a POST, so that no sequence of patches makes what a POST could not.

    Args:
        whole: The model of a new object of that kind, which has the names of the document's fields.
        patch: The new values; None unsets a field, which then has the default of the document. Metadata merge by key.

    Returns:
        A pure function from the object to the patched one, which raises the Problem `invalid`.
    """
    names = [name for name in whole.model_fields if name != "id"]

    def patched(current: C) -> C:
        sent = patch.sent_fields()
        if sent.get("metadata") is not None:
            sent["metadata"] = merged(current.metadata, sent["metadata"]) or None
        values = {name: getattr(current, name) for name in names} | sent
        body = {whole.model_fields[name].alias or name: value for name, value in values.items() if value is not None}
        valid = read_body(whole, body)
        values_merged = {name: getattr(valid, name) for name in names}
        fields = type(current).model_fields
        unset = {
            name: fields[name].get_default(call_default_factory=True) for name in names if values_merged[name] is None
        }
        after: C = current.model_copy(update=values_merged | unset)
        return after

    return patched
