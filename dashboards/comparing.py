"""What differs between two documents, in lines that a person can read. Pure."""

import difflib
from collections.abc import Mapping
from typing import Any

from dashboards.provisioning import as_json

Json = Mapping[str, Any]
_SERVERS_OWN = frozenset({"id", "version", "iteration", "updated", "provenance", "created"})
"""What the server adds at the top of a document."""
MOST = 60


def bare(document: Json) -> dict[str, Any]:
    """Without what the server added."""
    return {key: value for key, value in document.items() if key not in _SERVERS_OWN}


def difference(old: Json | None, new: Json, name: str) -> list[str]:
    """Lines of a unified diff, none where nothing differs; ``old`` None: it is not there yet."""
    after = as_json(dict(new)).splitlines()
    before = [] if old is None else as_json(bare(old)).splitlines()
    lines = list(difflib.unified_diff(before, after, f"{name} (allá)", f"{name} (aquí)", lineterm="", n=1))
    if len(lines) > MOST:
        return [*lines[:MOST], f"… y {len(lines) - MOST} líneas más"]
    return lines


def within(part: Any, whole: Any) -> bool:
    """Whether ``whole`` says all that ``part`` says; servers add defaults of their own."""
    if isinstance(part, Mapping):
        return isinstance(whole, Mapping) and all(
            key in whole and within(v, whole[key]) for key, v in part.items()
        )
    if isinstance(part, list):
        return isinstance(whole, list) and len(part) == len(whole) and all(map(within, part, whole))
    return bool(part == whole)
