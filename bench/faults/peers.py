"""What the fault runs need from Debian besides the project's own peers."""

import os
import shutil
import subprocess
from pathlib import Path

_PACKAGES = {"faketime": "/usr/lib/*/faketime/libfaketimeMT.so.1", "mosquitto": "/usr/sbin/mosquitto"}


class PeerError(Exception):
    """Something is missing here and could not be installed."""


def ensure_peers() -> None:
    """Install what is missing with apt-get; raises :class:`PeerError`."""
    missing = [name for name, pattern in _PACKAGES.items() if _find(pattern) is None]
    if not missing:
        return
    sudo = [] if os.geteuid() == 0 else ["sudo"]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = [*sudo, "apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing]
    for words in ([*sudo, "apt-get", "update", "-qq"], install):
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise PeerError(f"{' '.join(words)} failed: {done.stderr.strip()[-300:]}")


def faketime_library() -> Path:
    """The library that moves the wall clock of a program with threads."""
    found = _find(_PACKAGES["faketime"])
    if found is None:
        raise PeerError("libfaketime is missing: install faketime")
    return found


def mosquitto_program() -> str:
    found = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if found is None:
        raise PeerError("mosquitto is missing: install it")
    return found


def _find(pattern: str) -> Path | None:
    return next(iter(sorted(Path("/").glob(pattern.lstrip("/")))), None)
