"""The vault: files under the SHA-256 of their content, on disk before anybody is told so.

``<folder>/<first two digits>/<digest>``. A file is written beside its place, synchronised, then moved
there and the folder synchronised: after a power cut there is the whole file or none. Blocking: callers use
a thread.
"""

import hashlib
import os
import secrets
from pathlib import Path

from hub.fieldwork.errors import VaultError

MAX_BYTES = 8 * 1024 * 1024
_SIGNS: tuple[tuple[str, int, bytes], ...] = (
    ("image/jpeg", 0, b"\xff\xd8\xff"),
    ("image/png", 0, b"\x89PNG\r\n\x1a\n"),
    ("image/webp", 8, b"WEBPVP8"),
)
ENDINGS = {"image/jpeg": "jpg", "image/png": "png", "image/webp": "webp"}


def media_type_of(content: bytes) -> str:
    """What the bytes are, whatever anybody says of them; raises :class:`VaultError` for what we take not."""
    if len(content) > MAX_BYTES:
        raise VaultError(f"la foto pesa más de {MAX_BYTES // 2**20} MB; tómela de nuevo con menos resolución")
    for media_type, at, sign in _SIGNS:
        if content[at : at + len(sign)] == sign:
            return media_type
    raise VaultError("el archivo no es una foto JPEG, PNG o WebP; tómela de nuevo con la cámara")


class Vault:
    """``folder`` is made with the first file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path_of(self, sha256: str) -> Path:
        return self.folder / sha256[:2] / sha256

    def put(self, content: bytes) -> str:
        """Keep ``content``; returns its SHA-256 once it is on disk. The same content again costs a look."""
        sha256 = hashlib.sha256(content).hexdigest()
        path = self.path_of(sha256)
        if self._holds(path, sha256):
            return sha256
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.parent.mkdir(exist_ok=True, mode=0o700)
        part = path.with_name(f".{sha256}.{secrets.token_hex(4)}")
        try:
            with part.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            part.chmod(0o400)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        for folder in (path.parent, self.folder):
            _sync_folder(folder)
        return sha256

    def get(self, sha256: str) -> bytes:
        """The content, proven against its name; raises :class:`VaultError` where gone or changed."""
        found = self.state(sha256)
        if found == "missing":
            raise VaultError("el archivo no está en la bóveda; recupérelo del respaldo")
        if found == "changed":
            raise VaultError("el archivo cambió desde que se guardó; recupérelo del respaldo")
        return self.path_of(sha256).read_bytes()

    def state(self, sha256: str) -> str:
        """``equal``, ``changed`` or ``missing``: the bytes on disk are hashed again."""
        path = self.path_of(sha256)
        if not path.is_file():
            return "missing"
        return "equal" if self._holds(path, sha256) else "changed"

    @staticmethod
    def _holds(path: Path, sha256: str) -> bool:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == sha256


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
