// Books, is refused, changes and cancels with the generated types: `node book.js URL TOKEN`.

import createClient from "openapi-fetch";
import type { components, paths } from "./api.js";

declare const process: { argv: string[] };

type Conflict = components["schemas"]["ConflictProblem"];
type Reservation = components["schemas"]["Reservation"];

function check(holds: boolean, what: unknown): asserts holds {
  if (!holds) throw new Error(JSON.stringify(what));
}

const [, , baseUrl, token] = process.argv;
const client = createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${token}` } });
const body = {
  resource: "grace",
  service: "consultation",
  customer: "mia",
  startTime: "2035-06-04T15:00:00Z",
} satisfies components["schemas"]["NewReservation"];

const made = await client.POST("/v1/reservations", { body });
check(made.data !== undefined, made.error);
const booked: Reservation = made.data;
check(booked.status === "confirmed", booked);
check(made.response.headers.get("Location") === `/v1/reservations/${booked.id}`, booked);

const refused = await client.POST("/v1/reservations", { body });
check(refused.error?.type === "/problems/conflict", refused);
const conflict: Conflict = refused.error;
check(conflict.conflicts[0]?.reservation === booked.id, conflict);
check(conflict.checks.some((each) => each.rule === "capacity" && !each.ok), conflict);

const params = { path: { reservationId: booked.id } };
const changed = await client.PATCH("/v1/reservations/{reservationId}", {
  params: { ...params, header: { "If-Match": made.response.headers.get("ETag") ?? "" } },
  headers: { "Content-Type": "application/merge-patch+json" },
  body: { startTime: "2035-06-04T16:00:00Z", notes: null },
});
check(changed.data?.startTime === "2035-06-04T16:00:00.000Z", changed);
check(changed.data.version === 2, changed);

const cancelled = await client.POST("/v1/reservations/{reservationId}/cancel", { params, body: { reason: "Ill" } });
check(cancelled.data?.status === "cancelled", cancelled);
