"""Loads as a generator reports them, for tests of what is made of them."""

from app.bench.loads import Load


def load(*, booked: int, p50_ms: float = 1.0) -> Load:
    """A load of one second in which everything was booked."""
    return Load(
        seconds=1.0,
        booked=booked,
        accepted=booked,
        refused=0,
        failed=0,
        broken=0,
        unanswered=0,
        statuses={"201": booked},
        p50_ms=p50_ms,
        p99_ms=2 * p50_ms,
        longest_ms=3 * p50_ms,
        generator_share=0.1,
        generator_us=20.0,
        next_slot=1,
    )
