"""The processes of a deployment, and what all of them agree on."""

from datetime import datetime
from typing import Literal

from beanie import PydanticObjectId
from pydantic import Field

from app.storage.documents.base import Name, StoredDocument


class Process(StoredDocument):
    """A process that books, as long as it lives.

    `beat` grows with each heartbeat. `sessions` are the ids of those in which the process may hold guards: a process
    that finds it dead kills them. `place` is where its `pid` is valid (see `app.pids`), `host` the name of that machine
    for people; `started` distinguishes it from another process with the same pid.
    """

    id: PydanticObjectId = Field(alias="_id")
    host: str
    place: str
    pid: int
    started: str
    sessions: list[bytes]
    beat: int
    mode: Literal["strict", "optimistic"]
    lifecycle: str

    class Settings(StoredDocument.Settings):
        name = "processes"


class Beat(StoredDocument):
    """The last heartbeat of a worker, whose process the id names; `host` is its machine."""

    id: Name  # a worker is named
    host: str
    at: datetime

    class Settings(StoredDocument.Settings):
        name = "beats"


class Deployment(StoredDocument):
    """What all processes of a database must agree on, in one document; see `app.cluster.agreement`.

    `made` is a random id of this document, and `beats` counts the heartbeats of all of them together: by both a
    process notices that the database was restored (see `app.cluster.restores`).
    """

    id: Name = "deployment"  # there is only this one
    mode: Literal["strict", "optimistic"]
    lifecycle: str
    made: str | None = None
    beats: int | None = None

    class Settings(StoredDocument.Settings):
        name = "deployment"
