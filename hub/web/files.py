"""Files as answers: saved under a name, or shown."""

from typing import Literal

from starlette.responses import Response

PDF = "application/pdf"
CSV = "text/csv; charset=utf-8"


def sent(
    content: str | bytes,
    media_type: str,
    name: str,
    how: Literal["attachment", "inline"] = "attachment",
) -> Response:
    """``name`` is ours or checked: letters, digits, hyphens and a dot."""
    return Response(
        content, media_type=media_type, headers={"Content-Disposition": f'{how}; filename="{name}"'}
    )
