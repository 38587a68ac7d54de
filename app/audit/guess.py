"""A guess of the options by which a collection may be read."""

from app.audit.survey import Survey
from app.storage.reading import Reading


async def guess(_reading: Reading, _found: Survey) -> tuple[list[str], list[str]]:
    """Options to try, and what to say about them."""
    return [], []
