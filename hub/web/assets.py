"""Static files under a path that names their content, so browsers may keep them for ever."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

STATIC = Path(__file__).parent / "static"
NEEDED = ("vendor/leaflet/leaflet.js", "vendor/leaflet/leaflet.css", "vendor/atkinson/latin-400.woff2")

_FOR_EVER = "public, max-age=31536000, immutable"


class AssetsMissingError(Exception):
    """The console's third-party files were never copied; the message says how to get them."""


def require_assets(folder: Path = STATIC) -> None:
    """Raise :class:`AssetsMissingError` unless the vendor files are there."""
    missing = [name for name in NEEDED if not (folder / name).is_file()]
    if missing:
        raise AssetsMissingError(f"the console lacks {', '.join(missing)}: run `make setup`")


def content_version(files: Iterable[Path]) -> str:
    """Twelve hexadecimal digits of the SHA-256 over names and contents."""
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(file.name.encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


class Assets(StaticFiles):
    """Serves ``/static/<version>/<file>``; another version's page gets today's file, uncached."""

    def __init__(self, folder: Path = STATIC) -> None:
        require_assets(folder)
        super().__init__(directory=folder)
        self.version = content_version(f for f in folder.rglob("*") if f.is_file())

    def url(self, name: str) -> str:
        return f"/static/{self.version}/{name}"

    async def get_response(self, path: str, scope: Scope) -> Response:
        version, _, name = path.partition("/")
        response = await super().get_response(name, scope)
        response.headers["Cache-Control"] = _FOR_EVER if version == self.version else "no-cache"
        return response
