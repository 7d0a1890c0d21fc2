"""No form of ours is large: longer bodies are refused while they arrive. A phone's photos may be larger."""

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY_BYTES = 64 * 1024
LARGER: tuple[tuple[str, int], ...] = (
    ("/api/v1/field/photos/", 8 * 1024 * 1024),
    ("/api/v1/field/items", 1024 * 1024),
    ("/grafana/alertas", 1024 * 1024),
    ("/plan/editar/archivo", 512 * 1024),
    ("/plan/evidencia", 8 * 1024 * 1024),
)
"""Beginnings of addresses, and what their bodies may hold."""


class BodyLimit:
    def __init__(self, app: ASGIApp, max_bytes: int = MAX_BODY_BYTES) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        taken, limit = 0, self._limit(scope["path"])

        async def receive_limited() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > limit:
                raise HTTPException(413)
            return message

        await self._app(scope, receive_limited, send)

    def _limit(self, path: str) -> int:
        return next((size for start, size in LARGER if path.startswith(start)), self._max_bytes)
