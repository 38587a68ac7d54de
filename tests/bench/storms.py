"""Many clients book one slot at once, and then disjoint slots of one resource."""

from tests.bench.report import Bench, Report, status_counts
from tests.support.database_check import booked_count, peak_loads
from tests.support.slot_bookings import make_rooms
from tests.support.storms import neighbours, one_slot, statuses

EVERYBODY = 1_000
CAPACITIES = (1, 5)
DISJOINT, WIDTH = 200, 40
PROCESSES = 2


def run(bench: Bench) -> Report:
    """Exactly as many as fit win, no answer is an error, and disjoint slots are all booked."""
    report = Report(
        f"Storms through HTTP, {PROCESSES} app processes", ("storm", "answers", "booked", "highest load", "of")
    )
    with bench.stage() as stage, stage.app(PROCESSES) as app:
        for number in range(bench.rounds):
            for capacity in CAPACITIES:
                (room,) = make_rooms(app.client, f"storm-{number}-{capacity}", 1, capacity)
                counts = statuses(one_slot(app.client, room, EVERYBODY))
                found, load = booked_count(stage.database, room), peak_loads(stage.database).get(room, 0)
                report.rows.append(
                    (f"{EVERYBODY:,} creates of one slot", status_counts(counts), str(found), str(load), str(capacity))
                )
                report.promise(
                    f"{room}: exactly {capacity} win and the others are refused",
                    holds=counts == {201: capacity, 409: EVERYBODY - capacity} and found == load == capacity,
                )
            (room,) = make_rooms(app.client, f"disjoint-{number}", 1)
            counts = statuses(neighbours(app.client, room, DISJOINT, WIDTH))
            found, load = booked_count(stage.database, room), peak_loads(stage.database).get(room, 0)
            report.rows.append(
                (f"{DISJOINT} disjoint creates, {WIDTH} at a time", status_counts(counts), str(found), str(load), "1")
            )
            report.promise(f"{room}: all {DISJOINT} are booked", holds=counts == {201: DISJOINT} and found == DISJOINT)
            report.promise(f"{room}: none overlap", holds=load == 1)
    return report
