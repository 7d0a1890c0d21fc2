"""Password hashing. One check costs tens of milliseconds, so it runs beside the event loop."""

import asyncio
import functools
import secrets

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

MIN_LENGTH = 10
MAX_LENGTH = 200

# OWASP's second recommendation for argon2id (19 MiB, 2 passes, 1 lane): the hub shares a small machine.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)

# Letters and digits that nobody mistakes for one another when reading them from a screen.
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"


class PasswordError(Exception):
    """The password cannot be used; the message is Spanish and says why."""


@functools.cache
def _nobody() -> str:
    return _HASHER.hash(secrets.token_urlsafe())


def generate() -> str:
    """Four groups of four, about 79 bits."""
    return "-".join("".join(secrets.choice(_ALPHABET) for _ in range(4)) for _ in range(4))


def require_usable(password: str) -> None:
    """Raise :class:`PasswordError` when it is too short or too long."""
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        raise PasswordError(f"La contraseña debe tener entre {MIN_LENGTH} y {MAX_LENGTH} caracteres.")


def hash_password(password: str) -> str:
    require_usable(password)
    return _HASHER.hash(password)


def _matches(stored: str | None, password: str) -> bool:
    try:
        matches = _HASHER.verify(stored or _nobody(), password)
    except (Argon2Error, InvalidHashError):
        return False
    return matches and stored is not None


class PasswordGate:
    """Checks passwords, two at a time: each check holds 19 MiB."""

    def __init__(self, at_once: int = 2) -> None:
        self._gate = asyncio.Semaphore(at_once)

    async def is_right(self, stored: str | None, password: str) -> bool:
        """Whether ``password`` opens ``stored``; takes as long for an unknown user (``stored`` is None)."""
        if len(password) > MAX_LENGTH:
            password = ""  # no honest password is longer, and hashing a megabyte is work for an attacker
        async with self._gate:
            return await asyncio.to_thread(_matches, stored, password)
