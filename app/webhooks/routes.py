"""`/v1/webhooks`."""

from bson import ObjectId
from litestar import Controller, Response, Router
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from litestar.status_codes import HTTP_200_OK

from app.access.routes import caller_of, needs
from app.domain.instants import Millis, from_millis, to_millis
from app.http.answers import built, versioned
from app.http.etags import IfMatch, IfMatchHeader, OptionalIfMatchHeader
from app.http.json_response import JsonResponse
from app.http.openapi import problems
from app.http.paging import (
    LIMIT,
    CursorParameter,
    LimitParameter,
    Page,
    bad_cursor,
    cursor_id,
    id_mark,
    read_cursor,
    split_page,
)
from app.http.request import Request
from app.http.routing import delete, get, patch, post
from app.storage.documents import Webhook, WebhookDelivery
from app.webhooks.schemas import (
    IssuedWebhookAnswer,
    NewWebhook,
    WebhookAnswer,
    WebhookDeliveryAnswer,
    WebhookPatch,
    WebhookReplay,
    WebhookRotation,
    WebhookTestAnswer,
)
from app.webhooks.service import IssuedWebhook, Webhooks


class WebhookRoutes(Controller):
    """Webhooks: each event is posted to those that want it, in order, at least once. See docs/webhooks.md."""

    path = "/webhooks"
    tags = ("Webhooks",)
    guards = (needs("admin"),)

    @post(operation_id="createWebhook", responses=problems(body=True))
    async def create(
        self, request: Request, data: JSONBody[NewWebhook], webhooks: NamedDependency[Webhooks]
    ) -> Response[IssuedWebhookAnswer]:
        """Create a webhook.

        It gets the events after its creation. The answer is the only one that shows its `secret`. There are at most
        100 webhooks.
        """
        issued = await webhooks.create(data, caller_of(request).prefix)
        return _issued(issued, webhooks, status=201, location=f"/v1/webhooks/{issued.webhook.id}")

    @get(operation_id="listWebhooks", responses=problems())
    async def find(
        self,
        request: Request,
        webhooks: NamedDependency[Webhooks],
        limit: LimitParameter = LIMIT,
        cursor: CursorParameter = None,
    ) -> Response[Page[WebhookAnswer]]:
        """List webhooks.

        By id, which is the order in which they were made.
        """
        after = cursor_id(cursor)
        if after is not None and not ObjectId.is_valid(after):
            raise bad_cursor()
        found, following = split_page(await webhooks.page(limit + 1, after), limit, id_mark)
        now = webhooks.now()

        def page() -> Page[WebhookAnswer]:
            return Page[WebhookAnswer](items=[WebhookAnswer.of(each, now) for each in found], next=following)

        return await built(request, page, parts=sum(1 + len(each.history) for each in found))

    @get("/{webhook_id:str}", operation_id="getWebhook", responses=problems("not-found"))
    async def read(
        self, webhook_id: FromPath[str], request: Request, webhooks: NamedDependency[Webhooks]
    ) -> Response[WebhookAnswer]:
        """Get a webhook.

        A change needs its `ETag` in `If-Match`. A delivery changes what follows `history` and not the `ETag`.
        """
        request.mark_changeable()
        return _shown(await webhooks.read(webhook_id), webhooks)

    @patch(
        "/{webhook_id:str}",
        operation_id="updateWebhook",
        responses=problems("not-found", "stale", "precondition-required", body=True),
    )
    async def update(
        self,
        webhook_id: FromPath[str],
        request: Request,
        data: JSONBody[WebhookPatch],
        webhooks: NamedDependency[Webhooks],
        if_match: IfMatchHeader = None,
    ) -> Response[WebhookAnswer]:
        """Update a webhook.

        `active: true` takes up one that was paused, without a gap. While it is not active, its events wait as long as
        they are kept. Another `url` is tried at once.
        """
        matching = IfMatch.read(if_match)
        return _shown(await webhooks.change(webhook_id, data, matching, caller_of(request).prefix), webhooks)

    @delete(
        "/{webhook_id:str}",
        operation_id="deleteWebhook",
        responses=problems("not-found", "stale", "overloaded", "outcome-unknown"),
    )
    async def remove(
        self,
        webhook_id: FromPath[str],
        webhooks: NamedDependency[Webhooks],
        if_match: OptionalIfMatchHeader = None,
    ) -> None:
        """Delete a webhook.

        Nothing more is sent to it.
        """
        await webhooks.delete(webhook_id, if_match=IfMatch.read_optional(if_match))

    @post(
        "/{webhook_id:str}/rotate",
        operation_id="rotateWebhook",
        status_code=HTTP_200_OK,
        responses=problems("not-found", "stale", body=True),
    )
    async def rotate(
        self,
        webhook_id: FromPath[str],
        request: Request,
        webhooks: NamedDependency[Webhooks],
        data: JSONBody[WebhookRotation | None] = None,
        if_match: OptionalIfMatchHeader = None,
    ) -> Response[IssuedWebhookAnswer]:
        """Rotate the secret of a webhook.

        For `overlapMinutes` requests carry the signature of the old secret as well; else it ends at once. The answer is
        the only one that shows the new `secret`.
        """
        overlap = (data and data.overlap_minutes) or 0
        matching = IfMatch.read_optional(if_match)
        by = caller_of(request).prefix
        return _issued(await webhooks.rotate(webhook_id, by, overlap_minutes=overlap, if_match=matching), webhooks)

    @post(
        "/{webhook_id:str}/replay",
        operation_id="replayWebhook",
        status_code=HTTP_200_OK,
        responses=problems("not-found", "stale", "gone", body=True),
    )
    async def replay(
        self,
        webhook_id: FromPath[str],
        request: Request,
        data: JSONBody[WebhookReplay],
        webhooks: NamedDependency[Webhooks],
        if_match: OptionalIfMatchHeader = None,
    ) -> Response[WebhookAnswer]:
        """Send the events after one again.

        Or leave out those up to one that is ahead. It also takes up a webhook that was paused. 410 if some of these
        events are no longer kept.
        """
        matching = IfMatch.read_optional(if_match)
        by = caller_of(request).prefix
        return _shown(await webhooks.replay(webhook_id, data.after, by, if_match=matching), webhooks)

    @post(
        "/{webhook_id:str}/test",
        operation_id="testWebhook",
        status_code=HTTP_200_OK,
        responses=problems("not-found", "outcome-unknown"),
    )
    async def test(self, webhook_id: FromPath[str], webhooks: NamedDependency[Webhooks]) -> Response[WebhookTestAnswer]:
        """Send a test to a webhook, and see what comes of it.

        It has the type `webhook.test`, and changes nothing but the list of deliveries. It is given up after eight
        seconds.
        """
        delivery = (await webhooks.test(webhook_id)).delivery
        fields = delivery.model_dump(include={"event", "status", "error", "milliseconds"})
        answer = WebhookTestAnswer.model_validate(fields | {"delivered": delivery.error is None})
        return JsonResponse(answer.to_json())

    @get("/{webhook_id:str}/deliveries", operation_id="listWebhookDeliveries", responses=problems("not-found"))
    async def deliveries(
        self,
        webhook_id: FromPath[str],
        request: Request,
        webhooks: NamedDependency[Webhooks],
        limit: LimitParameter = LIMIT,
        cursor: CursorParameter = None,
    ) -> Response[Page[WebhookDeliveryAnswer]]:
        """List the attempts to deliver to a webhook.

        The newest first, for seven days.
        """
        before = None
        if cursor is not None:
            at, identity = read_cursor(cursor, int, str)
            if not ObjectId.is_valid(str(identity)) or int(at) < 0:
                raise bad_cursor()
            before = from_millis(Millis(int(at))), ObjectId(str(identity))
        found = await webhooks.deliveries(webhook_id, limit + 1, before)
        items, following = split_page(found, limit, _mark)

        def page() -> Page[WebhookDeliveryAnswer]:
            return Page[WebhookDeliveryAnswer](items=[WebhookDeliveryAnswer.of(each) for each in items], next=following)

        return await built(request, page, parts=len(items))


def _mark(delivery: WebhookDelivery) -> tuple[int, str]:
    return to_millis(delivery.at), str(delivery.id)


def _shown(webhook: Webhook, webhooks: Webhooks) -> Response[WebhookAnswer]:
    return versioned(WebhookAnswer.of(webhook, webhooks.now()), webhook.version)


def _issued(
    issued: IssuedWebhook, webhooks: Webhooks, *, status: int = HTTP_200_OK, location: str | None = None
) -> Response[IssuedWebhookAnswer]:
    answer = IssuedWebhookAnswer.of(issued.webhook, webhooks.now(), secret=issued.secret)
    return versioned(answer, issued.webhook.version, status=status, location=location)


router = Router("/v1", route_handlers=[WebhookRoutes])
