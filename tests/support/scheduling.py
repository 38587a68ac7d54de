"""Which tests one process runs, one after the other."""

from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]  # it says nothing of its types

TOGETHER = "tests/browser/"
"""The folder of the tests in a browser: their trial takes longer to start than most of them take."""


class SharedConsoleScheduling(LoadFileScheduling):  # type: ignore[misc]  # its base is of unknown type
    """Each file to one process, and all files in which a browser looks at the console to the same."""

    def _split_scope(self, nodeid: str) -> str:
        """The name of what stays together: that of the file, or of the folder."""
        return TOGETHER if nodeid.startswith(TOGETHER) else super()._split_scope(nodeid)
