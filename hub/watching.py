"""Whether somebody has saved a file: what a watched file is known by."""

from pathlib import Path

Stamp = tuple[int, int]
"""Time of change (ns) and size: differs whenever the file was saved."""


def stamp_of(path: Path) -> Stamp | None:
    """None where there is no such file."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_mtime_ns, found.st_size
