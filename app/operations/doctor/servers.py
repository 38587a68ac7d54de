"""The servers: whether they answer, who may use them, their versions, their clocks and their limits."""

import platform
from collections.abc import AsyncIterator
from importlib.metadata import version

from app.operations.doctor.observation import Observation, ok, problem, warning
from app.operations.doctor.subject import Subject
from app.storage.errors import shown
from app.storage.server_facts import is_open_to_all

MONGODB_MIN = (7,)
REDIS_MIN = (6,)
SKEW_SECONDS = 1.0
"""How far clocks may be apart: following by `updatedSince` allows a second between the members of a replica set."""
FAR_SECONDS = 60.0
"""A machine whose clock is this far off starts scheduled work at other times, and receivers refuse its signatures."""
POOL_MIN = 20
"""Connections to MongoDB that a process needs, so that bookings do not wait for lists and searches."""
TRANSACTION_SECONDS = (10, 60)
"""Lifetimes of a transaction: shorter ones end long edits, longer ones leave what a dead machine held blocked."""
DISK_FULL, DISK_NEARLY_FULL = 0.95, 0.85
_LOOPBACK = ("localhost", "127.", "[::1]", "/", "%2f")


async def check_servers(subject: Subject) -> AsyncIterator[Observation]:
    """Whether all servers answer, and MongoDB asks who is there."""
    address = shown(subject.settings.mongodb_url or "")
    for member in subject.members:
        if member.fault:
            yield problem(
                f"The member {member.address} of the replica set does not answer: {member.fault}",
                "Start it, or take it out of the replica set.",
            )
    answering = sum(member.fault is None for member in subject.members)
    yield ok(f"MongoDB answers at {address}, {answering} of {len(subject.members)} members.")
    if not _is_local(address) and await is_open_to_all(subject.store):
        yield warning(
            f"MongoDB at {address} lets everybody in who reaches it.",
            "Switch its authorization on, and put a user with the role readWrite into MONGODB_URL.",
        )
    url = subject.settings.redis_url
    yield _redis(subject)
    if url and subject.redis and not subject.redis.fault and not _is_local(shown(url)) and "@" not in url:
        yield warning(
            f"Redis at {shown(url)} lets everybody in who reaches it.",
            "Give it a password (requirepass), and put it into REDIS_URL.",
        )


def _is_local(address: str) -> bool:
    """Whether all hosts of an address are this machine."""
    return all(host.startswith(_LOOPBACK) for host in address.partition("://")[2].lower().split(","))


def _redis(subject: Subject) -> Observation:
    redis, url = subject.redis, shown(subject.settings.redis_url or "")
    if redis is None:
        return warning(
            "REDIS_URL is not set: no worker can run with these settings.",
            "Set REDIS_URL, so that runs that were asked for begin at once.",
        )
    if redis.fault:
        return problem(
            f"Redis cannot be used at {url}: {redis.fault}. Bookings go on; jobs wait in MongoDB.",
            "Check REDIS_URL, that the server runs and that its port is reachable from here.",
        )
    return ok(f"Redis answers at {url}.")


async def check_versions(subject: Subject) -> AsyncIterator[Observation]:
    """Whether the servers are of a version that Reserva was made for."""
    yield ok(f"Reserva {version('reserva')} on Python {platform.python_version()}.")
    found = sorted({member.version for member in subject.members if member.version}, key=_numbers)
    for each in found:
        if _numbers(each) < MONGODB_MIN:
            yield problem(f"MongoDB {each} is older than 7.", "Upgrade MongoDB to version 7 or later.")
        else:
            yield ok(f"MongoDB {each}.")
    if len(found) > 1:
        yield warning(
            f"The members of the replica set have different versions: {', '.join(found)}.", "Finish the upgrade."
        )
    if subject.redis is not None and subject.redis.version:
        if _numbers(subject.redis.version) < REDIS_MIN:
            yield warning(f"Redis {subject.redis.version} is older than 6.", "Upgrade Redis to version 6 or later.")
        else:
            yield ok(f"Redis {subject.redis.version}.")


def _numbers(text: str) -> tuple[int, ...]:
    """A version as numbers; what follows them, as in `9.0.0-rc1`, does not count."""
    parts = text.split("-", 1)[0].split(".")
    return tuple(int(part) for part in parts if part.isdecimal())


async def check_clocks(subject: Subject) -> AsyncIterator[Observation]:
    """Whether the clocks of the servers and of this machine agree."""
    remedy = "Let NTP (chrony, systemd-timesyncd) keep the clocks of both machines."
    members = [member for member in subject.members if member.fault is None]
    if not members:
        yield warning("No member could be asked for its time.", "See what `servers` says of each.")
        return
    wrong = False
    for member in members:
        apart = abs(member.ahead_seconds) - member.error_seconds
        if apart > SKEW_SECONDS:
            wrong = True
            way = "ahead of" if member.ahead_seconds > 0 else "behind"
            detail = f"The clock of {member.address} is {abs(member.ahead_seconds):,.1f} s {way} that of this machine."
            yield problem(detail, remedy) if apart > FAR_SECONDS else warning(detail, remedy)
    first, last = (pick(members, key=lambda member: member.ahead_seconds) for pick in (min, max))
    spread = last.ahead_seconds - first.ahead_seconds
    if spread - first.error_seconds - last.error_seconds > SKEW_SECONDS:
        wrong = True
        yield problem(
            f"The clock of {last.address} is {spread:,.1f} s ahead of that of {first.address}, so that after a change "
            "of the primary clients that follow changes can miss some.",
            remedy,
        )
    if not wrong:
        largest = max(abs(member.ahead_seconds) + member.error_seconds for member in members)
        yield ok(f"The clocks of this machine and of the servers agree within {largest:.3f} s.")


async def check_limits(subject: Subject) -> AsyncIterator[Observation]:
    """Whether files, connections, transactions and disk leave enough room."""
    observations = [*_own_limits(subject), *_mongodb_limits(subject), *_redis_limits(subject)]
    for observation in observations:
        yield observation
    if not observations:
        yield ok("Files, connections, the lifetime of transactions and the disk leave room, as far as the servers say.")


def _own_limits(subject: Subject) -> list[Observation]:
    found: list[Observation] = []
    files, pool = subject.files, subject.limits.pool_max
    if files.allowed < files.wanted:
        found.append(
            warning(
                f"A process here may open {files.allowed:,} files; {files.wanted:,} are needed for the connections "
                "that `serve` accepts by default.",
                "Raise the hard limit (ulimit -Hn, LimitNOFILE), or lower `serve --connections`.",
            )
        )
    if pool and pool < POOL_MIN:
        found.append(
            warning(
                f"MONGODB_URL allows a process {pool} connections to MongoDB, for which requests will wait.",
                f"Take maxPoolSize out of MONGODB_URL, or raise it to {POOL_MIN} or more.",
            )
        )
    return found


def _mongodb_limits(subject: Subject) -> list[Observation]:
    found: list[Observation] = []
    limits = subject.limits
    if limits.connections_free is not None and limits.connections_free < (limits.pool_max or POOL_MIN):
        found.append(
            warning(
                f"MongoDB accepts {limits.connections_free:,} more connections, and {limits.connections_open or 0:,} "
                "are open; one process can need more than that.",
                "Raise maxIncomingConnections of mongod and its limit of open files, or lower maxPoolSize.",
            )
        )
    shortest, longest = TRANSACTION_SECONDS
    lifetime = limits.transaction_seconds
    if lifetime is not None and not shortest <= lifetime <= longest:
        found.append(
            warning(
                f"MongoDB ends transactions after {lifetime:,} s.",
                f"Set transactionLifetimeLimitSeconds to {shortest} to {longest}.",
            )
        )
    if limits.disk_used is not None and limits.disk_used > DISK_NEARLY_FULL:
        detail = f"The disk of MongoDB is {limits.disk_used:.0%} full."
        remedy = "Make room on it; a full disk ends all bookings."
        found.append(problem(detail, remedy) if limits.disk_used > DISK_FULL else warning(detail, remedy))
    return found


def _redis_limits(subject: Subject) -> list[Observation]:
    found: list[Observation] = []
    redis = subject.redis
    if redis is not None and redis.evicts:
        found.append(
            warning(
                f"Redis removes entries when its memory is full ({redis.evicts}), jobs among them.",
                "Set maxmemory-policy to noeviction.",
            )
        )
    if redis is not None and redis.clients_max and redis.clients > 0.9 * redis.clients_max:
        found.append(
            warning(f"{redis.clients:,} of {redis.clients_max:,} connections to Redis are open.", "Raise maxclients.")
        )
    return found
