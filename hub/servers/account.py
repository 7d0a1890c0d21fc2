"""Who a server runs as when the hub was started as root: PostgreSQL refuses root, and no server needs it."""

import os
import pwd
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Account:
    """A user that is not root. ``is_penned``: folders on the way to its files are closed to it."""

    uid: int
    gid: int
    is_penned: bool

    @property
    def options(self) -> list[str]:
        """For ``setpriv``."""
        dropped = [f"--reuid={self.uid}", f"--regid={self.gid}", "--clear-groups"]
        if not self.is_penned:
            return [*dropped, "--inh-caps=-all"]
        # A data folder or a virtual environment below /root: the child keeps the one capability that
        # lets it in (containers have it too), since opening other people's folders is not ours to do.
        return [*dropped, "--inh-caps=-all,+dac_override", "--ambient-caps=-all,+dac_override"]


def account_for(own: Path, needed: Sequence[Path]) -> Account | None:
    """None unless we are root; then the account that owns the folder ``own``, else ``nobody``.

    ``needed`` are the paths that the child must reach besides.
    """
    if os.geteuid() != 0:
        return None
    owner = own.stat() if own.exists() else None
    if owner is not None and owner.st_uid != 0:
        uid, gid = owner.st_uid, owner.st_gid
    else:
        entry = pwd.getpwnam("nobody")
        uid, gid = entry.pw_uid, entry.pw_gid
    return Account(uid, gid, not all(_can_reach(path, uid, gid) for path in (own, *needed)))


def _can_reach(path: Path, uid: int, gid: int) -> bool:
    return all(_can_pass(parent.stat(), uid, gid) for parent in path.resolve().parents if parent.exists())


def _can_pass(folder: os.stat_result, uid: int, gid: int) -> bool:
    bit = 0o100 if folder.st_uid == uid else 0o010 if folder.st_gid == gid else 0o001
    return bool(folder.st_mode & bit)


def give(path: Path, account: Account | None) -> None:
    """Make ``path`` the child's own."""
    if account is not None:
        os.chown(path, account.uid, account.gid)
