"""What a process asks of the operating system."""

import os
import shutil
import subprocess
from collections.abc import Sequence

import pytest

from app.os_process import bound_to_this_process


def run(*command: str, user: str = "", groups: Sequence[int] | None = None) -> str:
    """The output of a program that is bound to this process; `groups` are what the one who starts it has besides."""
    program = shutil.which(command[0])
    assert program is not None
    bound = bound_to_this_process([program, *command[1:]], user)
    return subprocess.run(bound, capture_output=True, text=True, check=True, extra_groups=groups).stdout.strip()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give up its rights")
def test_root_gives_up_its_rights() -> None:
    """A program that is started as another user has that user's rights, groups included, and no way back."""
    assert run("id", "-un", user="nobody") == "nobody"
    assert run("id", "-G", user="nobody", groups=[0, 1]) == run("id", "-G", "nobody")


def test_a_program_keeps_the_rights_of_its_parent() -> None:
    """Without a user it runs as the one who started it."""
    assert run("id", "-u") == str(os.geteuid())
