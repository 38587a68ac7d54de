"""`/v1/keys`."""

from litestar import Controller, Response, Router
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from litestar.status_codes import HTTP_200_OK

from app.access.routes import caller_of, needs
from app.access.schemas import IssuedKeyAnswer, KeyAnswer, KeyPatch, KeyRotation, NewKey
from app.access.service import IssuedKey, Keys
from app.http.answers import built, versioned
from app.http.etags import IfMatch, IfMatchHeader, OptionalIfMatchHeader
from app.http.openapi import problems
from app.http.paging import LIMIT, CursorParameter, LimitParameter, Page, cursor_id, id_mark, split_page
from app.http.request import Request
from app.http.request_checks import HARMLESS_KEY
from app.http.routing import get, patch, post
from app.storage.documents import Key


class KeyRoutes(Controller):
    """API keys. A secret is shown once, when it is made; only its hash is stored."""

    path = "/keys"
    tags = ("Keys",)
    guards = (needs("admin"),)

    @post(operation_id="createKey", responses=problems(body=True))
    async def create(
        self, request: Request, data: JSONBody[NewKey], keys: NamedDependency[Keys]
    ) -> Response[IssuedKeyAnswer]:
        """Create an API key.

        The answer is the only one that shows its `secret`.
        """
        issued = await keys.create(data, caller_of(request).prefix)
        return _issued(issued, keys, status=201, location=f"/v1/keys/{issued.key.id}")

    @get(operation_id="listKeys", responses=problems())
    async def find(
        self,
        request: Request,
        keys: NamedDependency[Keys],
        limit: LimitParameter = LIMIT,
        cursor: CursorParameter = None,
    ) -> Response[Page[KeyAnswer]]:
        """List API keys.

        By prefix, also those that are over.
        """
        found, following = split_page(await keys.page(limit + 1, cursor_id(cursor)), limit, id_mark)
        now = keys.now()

        def page() -> Page[KeyAnswer]:
            return Page[KeyAnswer](items=[KeyAnswer.of(key, now) for key in found], next=following)

        return await built(request, page, parts=sum(1 + len(key.history) for key in found))

    @get("/{key_prefix:str}", operation_id="getKey", responses=problems("not-found"))
    async def read(
        self, key_prefix: FromPath[str], request: Request, keys: NamedDependency[Keys]
    ) -> Response[KeyAnswer]:
        """Get an API key.

        A change needs its `ETag` in `If-Match`. A use changes `lastUsedAt` and not the `ETag`.
        """
        request.mark_changeable()
        return _shown(await keys.read(key_prefix), keys)

    @patch(
        "/{key_prefix:str}",
        operation_id="updateKey",
        responses=problems("not-found", "stale", "precondition-required", "forbidden-transition", body=True),
    )
    async def update(
        self,
        key_prefix: FromPath[str],
        request: Request,
        data: JSONBody[KeyPatch],
        keys: NamedDependency[Keys],
        if_match: IfMatchHeader = None,
    ) -> Response[KeyAnswer]:
        """Update an API key.

        Its name and its expiry. A key that was revoked or has expired stays as it is.
        """
        matching = IfMatch.read(if_match)
        return _shown(await keys.change(key_prefix, data, matching, caller_of(request).prefix), keys)

    @post(
        "/{key_prefix:str}/rotate",
        operation_id="rotateKey",
        status_code=HTTP_200_OK,
        responses=problems("not-found", "stale", "forbidden-transition", body=True),
    )
    async def rotate(
        self,
        key_prefix: FromPath[str],
        request: Request,
        keys: NamedDependency[Keys],
        data: JSONBody[KeyRotation | None] = None,
        if_match: OptionalIfMatchHeader = None,
    ) -> Response[IssuedKeyAnswer]:
        """Rotate the secret of an API key.

        The old secret works on for `overlapMinutes`, else for a second. The answer is the only one that shows the new
        `secret`; prefix, scopes, expiry and what was stored under the key stay.
        """
        overlap = (data and data.overlap_minutes) or 0
        matching = IfMatch.read_optional(if_match)
        by = caller_of(request).prefix
        return _issued(await keys.rotate(key_prefix, by, overlap_minutes=overlap, if_match=matching), keys)

    @post(
        "/{key_prefix:str}/revoke",
        operation_id="revokeKey",
        status_code=HTTP_200_OK,
        opt=HARMLESS_KEY,
        responses=problems("not-found", "stale", "overloaded", "outcome-unknown"),
    )
    async def revoke(
        self,
        key_prefix: FromPath[str],
        request: Request,
        keys: NamedDependency[Keys],
        if_match: OptionalIfMatchHeader = None,
    ) -> Response[KeyAnswer]:
        """Revoke an API key.

        It ends for good, in every process within a second. Repeating it is harmless.
        """
        matching = IfMatch.read_optional(if_match)
        return _shown(await keys.revoke(key_prefix, caller_of(request).prefix, if_match=matching), keys)


def _shown(key: Key, keys: Keys) -> Response[KeyAnswer]:
    return versioned(KeyAnswer.of(key, keys.now()), key.version)


def _issued(
    issued: IssuedKey, keys: Keys, *, status: int = HTTP_200_OK, location: str | None = None
) -> Response[IssuedKeyAnswer]:
    answer = IssuedKeyAnswer.of(issued.key, keys.now(), secret=issued.token)
    return versioned(answer, issued.key.version, status=status, location=location)


router = Router("/v1", route_handlers=[KeyRoutes])
