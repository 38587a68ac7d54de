"""Forms of pages: fields of a body as browsers send it."""

from urllib.parse import parse_qsl

from app.errors import Problem
from app.http.request import Request

FIELDS_MAX = 100
FORM_BYTES_MAX = 16 * 1024
MEDIA_TYPE = "application/x-www-form-urlencoded"


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form; of a repeated one the last.

    Raises:
        Problem: `unsupported-media-type`, `malformed` for what no browser sends, `too-large`.
    """
    kind, _ = request.content_type
    if kind != MEDIA_TYPE:
        raise Problem("unsupported-media-type", f"Send the form with Content-Type: {MEDIA_TYPE}.")
    body = await request.body()
    if len(body) > FORM_BYTES_MAX:
        raise Problem("too-large", f"A form has at most {FORM_BYTES_MAX // 1024} KiB.")
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=FIELDS_MAX, errors="strict"))
    except ValueError:
        raise Problem("malformed", "The form is not written as browsers write it.") from None
