"""The people who may use the console."""

from dataclasses import dataclass

import asyncpg

from hub.database import Pool
from hub.web import passwords
from hub.web.permissions import ROLES, Permission, permissions_of

FIRST_LOGIN = "jefe"


class UserError(Exception):
    """The account cannot be made or changed; the message is Spanish and says why."""


@dataclass(frozen=True, slots=True)
class User:
    login: str
    name: str
    role: str

    def may(self, permission: Permission) -> bool:
        return permission in permissions_of(self.role)


async def create_user(
    pool: Pool, login: str, name: str, role: str, password: str, institution: str = "DSP"
) -> None:
    """Add an account; raises :class:`UserError` for what cannot be one."""
    if not institution.strip():
        raise UserError("La institución no puede ir vacía; escriba por ejemplo DSP.")
    if role not in ROLES:
        raise UserError(f"El rol debe ser uno de: {', '.join(ROLES)}.")
    try:
        await pool.execute(
            "insert into users (login, name, role, password, institution) values ($1, $2, $3, $4, $5)",
            login,
            name,
            role,
            passwords.hash_password(password),
            institution.strip(),
        )
    except passwords.PasswordError as error:
        raise UserError(str(error)) from error
    except asyncpg.UniqueViolationError as error:
        raise UserError(f"El usuario {login} ya existe.") from error
    except asyncpg.CheckViolationError as error:
        raise UserError(
            "El usuario va en minúsculas, empieza con una letra y tiene 2 a 32 signos."
        ) from error


async def ensure_first_user(pool: Pool) -> str | None:
    """On an empty table add the shift chief ``jefe``; returns the password, once, or None."""
    password = passwords.generate()
    added = await pool.fetchval(
        "insert into users (login, name, role, password)"
        " select $1, 'Jefatura de turno', 'jefe_turno', $2 where not exists (select from users)"
        " on conflict do nothing returning login",
        FIRST_LOGIN,
        passwords.hash_password(password),
    )
    return password if added else None


async def list_workers(pool: Pool) -> list[User]:
    """The active people who may work alerts, by name."""
    roles = [role for role in ROLES if Permission.WORK_ALERTS in permissions_of(role)]
    rows = await pool.fetch(
        "select login, name, role from users where active and role = any($1) order by name, login limit 200",
        roles,
    )
    return [User(row["login"], row["name"], row["role"]) for row in rows]


async def set_password(pool: Pool, login: str, password: str) -> None:
    """Change the password and end the person's sessions; raises :class:`UserError` for an unknown login."""
    try:
        hashed = passwords.hash_password(password)
    except passwords.PasswordError as error:
        raise UserError(str(error)) from error
    async with pool.acquire() as connection, connection.transaction():
        known = await connection.fetchval(
            "update users set password = $2 where login = $1 returning login", login, hashed
        )
        if known is None:
            raise UserError(f"No existe el usuario {login}.")
        await connection.execute("delete from sessions where login = $1", login)


async def find_password(pool: Pool, login: str) -> str | None:
    """The stored hash of an active account."""
    stored: str | None = await pool.fetchval("select password from users where login = $1 and active", login)
    return stored
