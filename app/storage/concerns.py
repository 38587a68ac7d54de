"""The concerns of transactions, the same wherever one begins: all reads of one instant, all writes by a majority."""

from motor.motor_asyncio import AsyncIOMotorClientSession
from pymongo import ReadPreference
from pymongo.read_concern import ReadConcern
from pymongo.synchronous.client_session import ClientSession
from pymongo.write_concern import WriteConcern

MAJORITY = WriteConcern("majority", j=True)
"""What every write of a reservation waits for: a majority of the servers, with the journal."""


def begin(session: AsyncIOMotorClientSession | ClientSession) -> None:
    """Begin a transaction in a session; nothing is sent before its first statement."""
    session.start_transaction(ReadConcern("snapshot"), MAJORITY, ReadPreference.PRIMARY)
