"""Reserva's image: what it may do, and its commands."""

import json

from tests.containers.engine import Engine
from tests.containers.images import Images, base

LOCKED_DOWN = ("--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")


def test_it_runs_without_rights(engine: Engine, images: Images) -> None:
    """A command runs as a user without a name or rights, on a root that nobody can write."""
    assert images
    run = ("run", "--rm", *LOCKED_DOWN)
    script = "id -u; grep CapEff /proc/self/status; touch /opt/reserva/x || touch /home/x || echo read-only"

    version = engine.run(*run, "reserva", "--version").stdout
    told = engine.run(*run, "--entrypoint", "sh", "reserva", "-c", script).stdout

    assert version.startswith("reserva, version ")
    assert told.split() == ["10001", "CapEff:", "0" * 16, "read-only"]


def test_nothing_in_it_is_the_users(engine: Engine, images: Images) -> None:
    """The user of the image owns no file, can write none outside /tmp, and no file gives it another's rights."""
    assert images
    script = (
        "find / -xdev -user 10001 | grep -v '^/proc'; "
        "find / -xdev -writable -not -type l -not -path '/proc/*' -not -path '/dev/*' -not -path '/tmp*'"
        " -not -path '/var/tmp*' -not -path '/run/lock*'; "
        "find /opt/reserva -xdev -perm /6000; true"
    )
    found = engine.run("run", "--rm", *LOCKED_DOWN, "--entrypoint", "sh", "reserva", "-c", script).stdout

    assert found == ""


def test_its_size(engine: Engine, images: Images) -> None:
    """What Reserva adds to its base is less than 200 MB."""
    assert images
    sizes = [json.loads(engine.run("image", "inspect", name).stdout)[0]["Size"] for name in ("reserva", base())]
    print(f"\nimage {sizes[0] / 1e6:.0f} MB, of it base {sizes[1] / 1e6:.0f} MB")

    assert sizes[0] - sizes[1] < 200e6


def test_its_health_check_alone(engine: Engine, images: Images) -> None:
    """The health check of a container in which no app runs says so, with exit code 1."""
    assert images
    done = engine.run("run", "--rm", *LOCKED_DOWN, "reserva", "health", "app", check=False)

    assert done.returncode == 1
    assert "does not answer" in done.stderr
