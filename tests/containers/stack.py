"""The services of compose.yaml, under a name and at a port of their own."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from tests.containers.engine import Engine
from tests.containers.images import Images
from tests.support.servers import ROOT, free_port

_PORT = 'services: {app: {ports: !override ["127.0.0.1:%d:8000"]}}\n'


@dataclass(frozen=True, slots=True)
class Stack:
    """A project of compose."""

    engine: Engine
    files: tuple[Path, ...]
    name: str
    port: int

    @classmethod
    def of(cls, engine: Engine, images: Images, folder: Path) -> "Stack":
        """A stack that is not up yet."""
        port = free_port()
        other_port = folder / "port.yaml"
        other_port.write_text(_PORT % port)
        return cls(engine, (*images.compose_files, other_port), f"reserva-test-{uuid4().hex[:8]}", port)

    def compose(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command of compose on this project."""
        files = [word for file in self.files for word in ("--file", str(file))]
        place = ["--project-name", self.name, "--project-directory", str(ROOT)]
        return self.engine.run("compose", *files, *place, *arguments, check=check)

    def up(self) -> None:
        """Start everything, and wait until all is well."""
        self.compose("up", "--detach", "--wait", "--wait-timeout", "180")

    def containers(self) -> dict[str, dict[str, Any]]:
        """What the engine knows of each service's container, ended ones included."""
        ids = self.compose("ps", "--all", "--quiet").stdout.split()
        found = json.loads(self.engine.run("inspect", *ids).stdout)
        return {each["Config"]["Labels"]["com.docker.compose.service"]: each for each in found}

    def execute(self, service: str, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command in the container of a service."""
        return self.compose("exec", "--no-TTY", service, *command, check=check)

    def new_key(self) -> str:
        """A key, made as the first lines of compose.yaml say."""
        made = self.compose("run", "--rm", "--no-TTY", "app", "keys", "create", "--name", "first", "--scope", "admin")
        return made.stdout.strip()

    def own_address(self) -> str:
        """Where the app listens itself. At the published port the engine accepts connections that nobody takes."""
        networks = self.containers()["app"]["NetworkSettings"]["Networks"]
        return f"http://{next(iter(networks.values()))['IPAddress']}:8000"

    def client(self, key: str, url: str = "") -> httpx.Client:
        """Requests to the app, at its published port unless told otherwise."""
        url = url or f"http://127.0.0.1:{self.port}"
        return httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=15)
