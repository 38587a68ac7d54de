"""One connection for a whole transaction; by itself the driver takes one out of its pool for every statement.

Choosing a server and taking a connection costs the driver as much as half of a statement. No public method spares it
that, so this module, and it alone, uses private ones of PyMongo, whose version is pinned. The rest stays with the
driver: its pool, its watch over the servers, the monitoring of commands, and the labels of errors.
"""

from collections.abc import Callable
from typing import TypeVar

from pymongo import _csot
from pymongo.database import Database
from pymongo.errors import ConnectionFailure, PyMongoError
from pymongo.synchronous.client_session import ClientSession
from pymongo.synchronous.mongo_client import _ClientCheckout
from pymongo.synchronous.pool import Connection

from app.storage.bson_types import BsonDocument

T = TypeVar("T")


class HeldConnection:
    """The connection of a session's transactions: taken by the first statement, released at the end or by a failure.

    A statement after a failure takes a connection anew.
    """

    def __init__(self, database: Database[BsonDocument], session: ClientSession) -> None:
        self._database = database
        self._session = session
        self._checkout: _ClientCheckout | None = None
        self._connection: Connection | None = None
        self._failure: PyMongoError | None = None
        self._finish_apart = session._finish_transaction_with_retry
        session._finish_transaction_with_retry = self._finish  # type: ignore[assignment]  # of this session alone

    def command(self, command: BsonDocument) -> BsonDocument:
        """Run a statement of the transaction; returns the server's answer.

        Raises:
            pymongo.errors.PyMongoError: the statement failed.
        """
        database, session = self._database, self._session
        options = database.codec_options

        def run(connection: Connection) -> BsonDocument:
            return connection.command(
                database.name, dict(command), codec_options=options, session=session, client=database.client
            )

        try:
            answer = self._run(next(iter(command)), run)
        except PyMongoError as error:
            if not error.has_error_label("RetryableError"):
                raise
            # An overloaded server has done nothing. The driver's own way waits for it, and tries again.
            if not session._transaction.has_completed_command:
                session._transaction.set_starting()
            return database.command(command, codec_options=options, session=session)
        session._transaction.has_completed_command = True
        return answer

    def rows(self, command: BsonDocument) -> list[BsonDocument]:
        """All rows that a command answers with; its cursor takes a connection for each answer, so this one is released.

        Raises:
            pymongo.errors.PyMongoError: the statement failed.
        """
        self.give_back()
        database = self._database
        return database.cursor_command(command, codec_options=database.codec_options, session=self._session).to_list()

    def abort(self) -> None:
        """Abort, and raise a failure, which the driver's own `abort_transaction` suppresses.

        Raises:
            pymongo.errors.PyMongoError: it is unknown whether the transaction was aborted.
        """
        self._failure = None
        self._session.abort_transaction()
        if self._failure is not None:
            raise self._failure

    def give_back(self, error: BaseException | None = None) -> None:
        """Give the connection back; from an error the driver concludes what is wrong with its pool or its server."""
        checkout, self._checkout, self._connection = self._checkout, None, None
        if checkout is not None:
            checkout.__exit__(None if error is None else type(error), error, None)

    def _run(self, operation: str, run: Callable[[Connection], T]) -> T:
        try:
            return run(self._take(operation))
        except BaseException as error:
            self.give_back(error)
            raise

    def _take(self, operation: str) -> Connection:
        if self._checkout is None or self._connection is None:
            checkout = self._database.client._conn_for_writes(self._session, operation)
            self._connection, self._checkout = checkout.__enter__(), checkout
        else:  # a choice of the server would say how long an answer is on its way, which shortens `maxTimeMS`
            _csot.set_rtt(self._checkout._server.description.min_round_trip_time)
        return self._connection

    def _finish(self, command: str) -> BsonDocument:
        try:
            return self._commit_or_abort(command)
        except PyMongoError as error:
            self._failure = error
            raise

    def _commit_or_abort(self, command: str) -> BsonDocument:
        """Finish on the held connection; what the driver repeats after a failure, it repeats by itself."""
        if self._connection is not None:
            try:
                return self._run(command, lambda connection: self._session._finish_transaction(connection, command))
            except PyMongoError as error:
                if not _is_repeated(error):
                    raise
            finally:
                self.give_back()
        return self._finish_apart(command)


def _is_repeated(error: PyMongoError) -> bool:
    """Whether the driver sends a commit or an abort again after this error."""
    labels = ("RetryableWriteError", "RetryableError")
    return isinstance(error, ConnectionFailure) or any(error.has_error_label(label) for label in labels)
