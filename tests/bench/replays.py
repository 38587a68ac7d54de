"""One Idempotency-Key, many posts at once: one booking, and every post gets its answer."""

from tests.bench.report import Bench, Report
from tests.bench.watched import WATCHED
from tests.support.database_check import booked_count
from tests.support.slot_bookings import make_rooms
from tests.support.storms import alike, same_key, split

POSTS = 128
PROCESSES = 2


def run(bench: Bench) -> Report:
    """In how many transactions, too."""
    report = Report(
        f"{POSTS} posts of one Idempotency-Key at once, {PROCESSES} app processes",
        ("round", "booked", "first answers", "replays", "alike", "transactions committed", "lost"),
    )
    with bench.stage() as stage, bench.watch() as watch, stage.app(PROCESSES, WATCHED, env=watch.env) as app:
        for number in range(bench.rounds):
            (room,) = make_rooms(app.client, f"key-{number}", 1)
            watch.seen()
            answers = same_key(app.client, room, POSTS)
            seen = watch.seen()
            first, replays = split(answers)
            found = booked_count(stage.database, room)
            figures = (number + 1, found, len(first), len(replays), alike(answers), seen.committed, seen.lost)
            report.rows.append([str(figure) for figure in figures])
            report.promise(
                f"round {number + 1}: one booking, {POSTS - 1} replays, all alike",
                holds=found == len(first) == 1 and len(replays) == POSTS - 1 and alike(answers),
            )
    return report
