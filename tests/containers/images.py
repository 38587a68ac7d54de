"""The images: Reserva's own, and those of database and queue, from the registry or, without one, made here.

Without a registry the base image is made from Debian's packages (`mmdebstrap`), and two stand-ins take the places of
MongoDB and Redis. `TEST_REGISTRY=1` pulls the real ones instead.
"""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.containers.engine import Engine
from tests.support.servers import ROOT

HERE = Path(__file__).parent
STAND_INS = HERE / "stand_ins"
_PACKAGES = "python3,python3-venv,python3-pip,ca-certificates"
_SETTINGS = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pip.conf")


@dataclass(frozen=True, slots=True)
class Images:
    """What the tests use: the compose files, and whether database and queue are stand-ins."""

    compose_files: tuple[Path, ...]
    stand_ins: bool


def base() -> str:
    """The name of the base image, as the Dockerfile has it."""
    match = re.search(r"^ARG BASE=(\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert match
    return match[1]


def build(engine: Engine, folder: Path) -> Images | None:
    """Build Reserva's image and whatever stands in; None if this machine has neither a registry nor the means."""
    own = (ROOT / "compose.yaml",)
    if os.environ.get("TEST_REGISTRY"):
        engine.run("build", "--tag", "reserva", ".", cwd=ROOT)
        return Images(own, stand_ins=False)
    server = _server()
    if shutil.which("mmdebstrap") is None or server is None:
        return None
    _build_base(engine, folder)
    engine.run("build", "--network", "host", "--tag", "reserva", ".", cwd=ROOT)
    context = folder / "mongo"
    shutil.copytree(STAND_INS / "mongo", context)
    shutil.copy(server, context / "secantusd-rs")
    for name in ("mongod", "mongosh"):
        (context / name).chmod(0o755)
    engine.run("build", "--tag", "reserva-test-mongo", ".", cwd=context)
    redis = STAND_INS / "redis"
    engine.run(
        "build", "--network", "host", "--build-arg", f"BASE={base()}", "--tag", "reserva-test-redis", ".", cwd=redis
    )
    return Images((*own, STAND_INS / "compose.yaml"), stand_ins=True)


def _build_base(engine: Engine, folder: Path) -> None:
    """A Debian with Python under the name of the base image, unless it is there from an earlier run."""
    if engine.run("image", "inspect", base(), check=False).returncode == 0:
        return
    tar = folder / "debian.tar"
    subprocess.run(
        ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={_PACKAGES}", "bookworm", str(tar)], check=True
    )
    engine.run("import", str(tar), "reserva-test-debian")
    context = folder / "base"
    for name in _SETTINGS:
        if Path(name).exists():
            copy = context / "settings" / name.lstrip("/")
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(name, copy)
    shutil.copy(HERE / "base.Dockerfile", context / "Dockerfile")
    engine.run("build", "--tag", base(), ".", cwd=context)


def _server() -> Path | None:
    """The binary of the fast server, where it was built."""
    home = Path(os.environ.get("SECANTUSD_HOME", Path.home() / ".cache" / "secantusd"))
    return max(home.glob("*/bin/secantusd-rs"), default=None)
