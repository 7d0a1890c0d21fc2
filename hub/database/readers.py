"""The role of dashboards: it reads the views of the schema ``panels``, and nothing else."""

import asyncpg

from hub.database import Connection, DatabaseError

ROLE = "grafana_ro"
STATEMENT_TIMEOUT = "30s"
MIN_PASSWORD = 12


async def keep_reader(connection: Connection, password: str, role: str = ROLE) -> bool:
    """Create ``role`` in this database or bring it up to date; True when it is new.

    ``connection`` is one that may create roles and owns the schema, a superuser's. Running it again changes
    the password and takes back what was granted meanwhile. Raises :class:`DatabaseError` (Spanish).
    """
    if len(password) < MIN_PASSWORD:
        raise DatabaseError(f"la clave de {role} tiene menos de {MIN_PASSWORD} caracteres; use una más larga")
    if not await connection.fetchval("select to_regnamespace('panels') is not null"):
        raise DatabaseError("falta el esquema panels: ejecute primero una orden del hub sobre esta base")
    try:
        async with connection.transaction():
            is_new = not await connection.fetchval(
                "select exists (select from pg_roles where rolname = $1)", role
            )
            for sql in _statements(is_new, await _literal(connection, password)):
                await connection.execute(await _named(connection, sql, role))
    except asyncpg.InsufficientPrivilegeError as error:
        raise DatabaseError(
            f"esta cuenta no puede crear el rol {role} ({error}); indique en --admin la de un administrador"
        ) from error
    return is_new


async def _literal(connection: Connection, text: str) -> str:
    return str(await connection.fetchval("select quote_literal($1::text)", text))


async def _named(connection: Connection, sql: str, role: str) -> str:
    names = await connection.fetchrow(
        "select quote_ident(current_database()) as database, nspowner::regrole::text as owner,"
        " quote_ident($1) as role"
        " from pg_namespace where nspname = 'panels'",
        role,
    )
    if names is None:
        raise DatabaseError("falta el esquema panels: ejecute primero una orden del hub sobre esta base")
    return sql.format_map(dict(names))


def _statements(is_new: bool, password: str) -> list[str]:
    """SQL with ``{role}``, ``{database}`` and ``{owner}`` to be named."""
    escaped = password.replace("{", "{{").replace("}", "}}")
    return [
        *(["create role {role}"] if is_new else []),
        (
            "alter role {role} login nosuperuser nocreatedb nocreaterole noreplication nobypassrls"
            f" connection limit 20 password {escaped}"
        ),
        "alter role {role} set default_transaction_read_only = on",
        f"alter role {{role}} set statement_timeout = '{STATEMENT_TIMEOUT}'",
        "alter role {role} set search_path = panels",
        "revoke all on all tables in schema public, panels, panels_base from {role}",
        "revoke all on schema public, panels, panels_base from {role}",
        # Temporary objects are granted to everybody by default; a function of one's own could look at rows
        # that a view leaves out.
        "revoke temporary on database {database} from public",
        "grant temporary on database {database} to {owner}",
        "grant connect on database {database} to {role}",
        "grant usage on schema panels to {role}",
        "grant select on all tables in schema panels to {role}",
        "alter default privileges for role {owner} in schema panels grant select on tables to {role}",
    ]
