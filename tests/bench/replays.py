"""One Idempotency-Key, many posts at once: one booking, and everybody gets its answer."""

from collections.abc import Sequence

from tests.bench.clients import Answer, Client
from tests.bench.report import Bench, Report
from tests.bench.slots import booking, make_rooms
from tests.bench.stage import WATCHED
from tests.support.database_check import booked_count

POSTS = 128
PROCESSES = 2


def same_key(client: Client, room: str, posts: int) -> list[Answer]:
    """The same request with the same key, at the same moment."""
    return client.at_once([booking(room, key=f"key-of-{room}")] * posts)


def split(answers: Sequence[Answer]) -> tuple[list[Answer], list[Answer]]:
    """First answers and replays, of those that are 201."""
    made = [answer for answer in answers if answer.status == 201]
    replays = [answer for answer in made if answer.headers.get("idempotent-replayed") == "true"]
    return [answer for answer in made if answer not in replays], replays


def alike(answers: Sequence[Answer]) -> bool:
    """Whether all say the same, byte for byte."""
    return len({(each.content, each.headers.get("location"), each.headers.get("etag")) for each in answers}) == 1


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
