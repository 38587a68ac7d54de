"""The drivers of a store: the one that its mode allows, and the plain one where there is nothing to write."""

from app.booking.driver import GRACE_SECONDS
from app.booking.idempotency import AnyToken, Replay, read_answers, replay
from app.booking.plain_driver import PlainDriver
from app.booking.session_driver import SessionDriver
from app.errors import Problem
from app.storage.client import Store


def driver_for(store: Store, slots: int) -> SessionDriver | PlainDriver:
    """The driver that the store's mode allows."""
    if store.mode == "strict":
        return SessionDriver(store.client.delegate, store.database.name, slots)
    return PlainDriver(store)


async def replayed_answer(store: Store, token: AnyToken | None) -> Replay | None:
    """The answer of the first request with a key; None if there was none.

    Raises:
        Problem: `idempotency-mismatch`.
    """
    if token is None:
        return None
    stored = await PlainDriver(store).run(0, read_answers([token]), GRACE_SECONDS)
    if token.key not in stored:
        return None
    answer = replay(token, stored[token.key])
    if isinstance(answer, Problem):
        raise answer
    return answer
