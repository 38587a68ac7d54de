"""`reserva serve` with another factory in place of the app's: the same processes, the same settings of the server.

`python -m tests.support.serve_process FACTORY [OPTIONS OF RESERVA SERVE]`; `STAGED_LOOP=asyncio` serves on asyncio's
own loop.
"""

import os
import sys
from typing import Any
from unittest.mock import patch

from granian.constants import Loops

from app.cli import serve as product
from app.cli.supervisor import Supervisor
from tests.support.staged_app import LOOP


def main(factory: str) -> None:
    """Serve what the factory makes."""

    def server(_: str, **settings: Any) -> Any:
        return Supervisor(factory, loop=Loops(os.environ.get(LOOP, Loops.auto)), **settings)

    with patch.object(product, "Supervisor", server):
        product.serve()


if __name__ == "__main__":
    main(sys.argv.pop(1))
