"""The rules that come with the program, as YAML beside this file. Each one carries its own test."""

import importlib.resources
from functools import lru_cache

from hub.rules.loading import live_rules
from hub.rules.model import Rule


def ready_files() -> dict[str, str]:
    """File name → text, in order."""
    folder = importlib.resources.files(__name__)
    names = sorted(f.name for f in folder.iterdir() if f.name.endswith(".yaml"))
    return {name: (folder / name).read_text("utf-8") for name in names}


@lru_cache(maxsize=1)
def ready_rules() -> tuple[Rule, ...]:
    """Those that are on without further ado; they cannot be wrong in a released version."""
    return tuple(live_rules(ready_files(), {}))
