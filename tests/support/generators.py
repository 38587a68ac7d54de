"""Programs that generate clients from the description or judge it: a Python package, and Node's in a cache folder."""

import os
import shutil
import subprocess
import tempfile
from hashlib import sha256
from pathlib import Path

from tests.support.servers import BIN, ROOT, NotAtHand, unmeasured

FILES = ROOT / "tests" / "files" / "clients"
INSTALL_SECONDS = 420


def run(folder: Path, *command: str | Path) -> "subprocess.CompletedProcess[str]":
    """Run a program to its end in a folder, with what else it needs beside it on the PATH."""
    path = f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}"
    return subprocess.run(
        [*command], cwd=folder, env=unmeasured() | {"PATH": path}, capture_output=True, text=True, check=False
    )


def mypy_cache() -> Path:
    """A folder in which mypy finds again what it knows of the libraries that a generated client uses."""
    return _cache() / "mypy"


def node_modules() -> Path:
    """Where the programs of `tests/files/clients/package.json` are, installed once a version.

    Raises:
        NotAtHand: there is no Node, or the programs could not be installed.
    """
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise NotAtHand("node and npm are not on the PATH")
    package = FILES / "package.json"
    home = _cache() / sha256(package.read_bytes()).hexdigest()[:12]
    if not home.exists():
        _install(npm, package, home)
    return home / "node_modules"


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "reserva-clients"


def _install(npm: str, package: Path, home: Path) -> None:
    """Install beside the place and move there at the end, so that no other process finds half of it."""
    home.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home.parent) as folder:
        shutil.copy(package, folder)
        options = ["--ignore-scripts", "--no-package-lock", "--no-audit", "--no-fund", "--loglevel=error"]
        try:
            subprocess.run(
                [npm, "install", *options],
                cwd=folder,
                capture_output=True,
                text=True,
                check=True,
                timeout=INSTALL_SECONDS,
            )
        except subprocess.TimeoutExpired:
            raise NotAtHand(f"npm did not install within {INSTALL_SECONDS} seconds") from None
        except subprocess.CalledProcessError as error:
            raise NotAtHand(f"npm could not install: {error.stderr.strip()[:300]}") from None
        Path(folder).rename(home)
        Path(folder).mkdir()  # for the end of the `with`
