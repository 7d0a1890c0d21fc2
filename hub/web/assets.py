"""Static files under a path that names their content, so browsers may keep them for ever.

They are few and small (half a megabyte), so they are read once and served from memory.
"""

import gzip
import hashlib
import mimetypes
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

STATIC = Path(__file__).parent / "static"
NEEDED = (
    "vendor/leaflet/leaflet.js",
    "vendor/leaflet/leaflet.css",
    "vendor/uplot/uplot.js",
    "vendor/uplot/uplot.css",
    "vendor/atkinson/latin-400.woff2",
)

_FOR_EVER = "public, max-age=31536000, immutable"
_TEXTS = ("text/", "application/javascript", "image/svg+xml")
# Not from the system's table, which differs from one machine to the next.
_TYPES = {
    ".js": "text/javascript",
    ".woff2": "font/woff2",
    ".svg": "image/svg+xml",
    ".css": "text/css",
    ".webmanifest": "application/manifest+json",
}


class AssetsMissingError(Exception):
    """The console's third-party files were never copied; the message says how to get them."""


@dataclass(frozen=True, slots=True)
class Asset:
    """``zipped`` is empty where it would not be smaller."""

    content: bytes
    zipped: bytes
    media_type: str


def require_assets(folder: Path = STATIC) -> None:
    """Raise :class:`AssetsMissingError` unless the vendor files are there."""
    missing = [name for name in NEEDED if not (folder / name).is_file()]
    if missing:
        raise AssetsMissingError(f"the console lacks {', '.join(missing)}: run `make setup`")


def _read(path: Path) -> Asset:
    content = path.read_bytes()
    media_type = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0] or "text/plain"
    zipped = gzip.compress(content, mtime=0) if media_type.startswith(_TEXTS) else b""
    return Asset(content, zipped if len(zipped) < len(content) else b"", media_type)


class Assets:
    """Serves ``/static/<version>/<file>``; another version's page gets today's file, uncached."""

    def __init__(self, folder: Path = STATIC) -> None:
        require_assets(folder)
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        self._assets = {path.relative_to(folder).as_posix(): _read(path) for path in paths}
        digest = hashlib.sha256()
        for name, asset in self._assets.items():
            digest.update(name.encode() + b"\0" + hashlib.sha256(asset.content).digest())
        self.version = digest.hexdigest()[:12]

    def url(self, name: str) -> str:
        """Raises KeyError for a file that is not there: a template's mistake shows in the first test."""
        self._assets[name]
        return f"/static/{self.version}/{name}"

    def names(self, prefix: str) -> list[str]:
        """The files whose name begins with ``prefix``, in order."""
        return [name for name in self._assets if name.startswith(prefix)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        path = request.url.path.removeprefix("/static/")
        await self._answer(request, path)(scope, receive, send)

    def _answer(self, request: Request, path: str) -> Response:
        version, _, name = path.partition("/")
        asset = self._assets.get(name)
        if asset is None or request.method not in ("GET", "HEAD"):
            return Response(status_code=404)
        headers = {"Cache-Control": _FOR_EVER if version == self.version else "no-cache"}
        content = asset.content
        if asset.zipped:
            headers["Vary"] = "Accept-Encoding"
            if "gzip" in request.headers.get("accept-encoding", ""):
                headers["Content-Encoding"], content = "gzip", asset.zipped
        return Response(content, media_type=asset.media_type, headers=headers)
