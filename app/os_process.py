"""What this process asks of the operating system: ports to listen on, and to end with the process that started it.

Run as a program it ends with its parent and becomes another one: `python os_process.py PARENT USER COMMAND…`. Linux
keeps the request over `exec`, but not over a change of the user, so that comes first. Elsewhere
it does nothing, and the next start of the trial ends what a killed one left.
Standard library only: as a program it runs with `-I -S`, before everything else, and must be quick.
"""

import ctypes
import os
import pwd
import signal
import socket
import sys

LOOPBACK = "127.0.0.1"
_PR_SET_PDEATHSIG = 1


class CannotListen(Exception):  # noqa: N818  # the sentence that it carries begins so
    """An address cannot be listened on; the message says why and what to choose instead."""


def die_with_parent(parent: int) -> None:
    """Have the kernel send SIGTERM to this process when its parent ends. Linux only.

    Args:
        parent: The parent's process id. If it is no longer the parent, SIGTERM is sent at once.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGTERM)


def bound_to_this_process(command: list[str], user: str = "") -> list[str]:
    """The command line that runs `command` and ends it with this process.

    Args:
        command: The program with its arguments.
        user: The name of the user whose rights it gets; empty: those of this process. Only root may choose, and must
            give the path of the program: that user may not be able to read the modules that look for one.
    """
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), user, *command]


def _become(user: str) -> None:
    """Give up the rights of root for those of another user."""
    entry = pwd.getpwnam(user)
    os.initgroups(user, entry.pw_gid)
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)


def free_port() -> int:
    """A port of the loopback address that no process listens on now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def ensure_free(host: str, port: int) -> str:
    """Check that this process could listen there.

    Returns:
        The address that the host's name stands for, an IPv4 one if it has one: servers take no names.

    Raises:
        CannotListen: the name is unknown, or the address is not ours or in use.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        family, *_, address = min(found, key=lambda each: each[0] != socket.AF_INET)
        with socket.socket(family) as probe:
            # As servers do: connections of the last run that linger are no obstacle, a listener is.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
        return str(address[0])
    except (socket.gaierror, UnicodeError) as error:
        raise CannotListen(
            f"Cannot listen on {host}: no address is known by that name. Give --host an address of this machine, "
            "like 127.0.0.1 or 0.0.0.0, or a name that it has."
        ) from error
    except OSError as error:
        raise CannotListen(
            f"Cannot listen on {host}:{port}: {error.strerror}. Choose another port with --port (0 picks a free one)."
        ) from error


if __name__ == "__main__":
    _, _parent, _user, *_command = sys.argv
    if _user:
        _become(_user)
    die_with_parent(int(_parent))
    os.execvp(_command[0], _command)  # noqa: S606  # becoming the given program is what it is for
