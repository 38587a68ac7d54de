"""Counts of one process: windows, and how many names it remembers."""

from app.access.counts import WINDOWS_MAX, Counted, Counts


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


async def test_a_window_begins_with_its_first_request() -> None:
    """It ends as long after that as the rate says, whatever comes in between; then the next one begins."""
    clock = Clock()
    counts = Counts(None, clock)

    assert await counts.add("a", 60, 10) == Counted(1, 60.0)
    clock.now += 40
    assert await counts.add("a", 60, 10) == Counted(2, 20.0)
    clock.now += 20
    assert await counts.add("a", 60, 10) == Counted(1, 60.0)


async def test_names_are_counted_apart() -> None:
    """A request under one name is none under another."""
    counts = Counts(None, Clock())

    assert [(await counts.add(name, 60, 10)).number for name in "aab"] == [1, 2, 1]


async def test_a_full_window_stays_full_until_its_end() -> None:
    """Requests above the limit do not move its end, so the time to wait is true."""
    clock = Clock()
    counts = Counts(None, clock)

    numbers = []
    for _ in range(5):
        clock.now += 10
        numbers.append(await counts.add("a", 60, 2))

    assert numbers == [Counted(1, 60.0), Counted(2, 50.0), Counted(3, 40.0), Counted(3, 30.0), Counted(3, 20.0)]


async def test_memory_is_bounded() -> None:
    """However many names come, those that were not counted for longest are forgotten, and the others are not."""
    counts = Counts(None, Clock())
    await counts.add("mine", 60, 10)
    for number in range(WINDOWS_MAX + 10):
        await counts.add(f"stranger {number}", 60, 10)
        if number % 1_000 == 0:
            await counts.add("mine", 60, 1_000)

    assert len(counts._windows) == WINDOWS_MAX
    assert (await counts.add("mine", 60, 1_000)).number > 10
    assert (await counts.add("stranger 0", 60, 10)).number == 1
