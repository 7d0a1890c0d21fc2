"""Who may do what. Deny by default: what is not in the table is refused."""

import enum


class Permission(enum.StrEnum):
    SEE_ALERTS = "see_alerts"
    WORK_ALERTS = "work_alerts"
    REOPEN_ALERTS = "reopen_alerts"
    CHANGE_PRIORITY = "change_priority"
    CLASSIFY_ALERTS = "classify_alerts"
    UNRESERVE_ALERTS = "unreserve_alerts"
    """Give an alert that was reserved a code that everybody may see."""
    LINK_ALERTS = "link_alerts"
    SEE_RESTRICTED = "see_restricted"
    """Exact place and device of a restricted alert; each reading states a reason."""
    SEE_DEVICES = "see_devices"
    SEE_REFUSALS = "see_refusals"
    SEE_HELP = "see_help"


_P = Permission
_WATCH = frozenset({_P.SEE_ALERTS, _P.SEE_DEVICES, _P.SEE_HELP})
_WORK = _WATCH | {
    _P.WORK_ALERTS,
    _P.CHANGE_PRIORITY,
    _P.CLASSIFY_ALERTS,
    _P.LINK_ALERTS,
    _P.SEE_RESTRICTED,
}

ROLES: dict[str, frozenset[Permission]] = {
    "operador": _WORK,
    "jefe_turno": _WORK | {_P.REOPEN_ALERTS, _P.UNRESERVE_ALERTS, _P.SEE_REFUSALS},
    "director": _WATCH | {_P.SEE_RESTRICTED},
    "tecnico": frozenset({_P.SEE_DEVICES, _P.SEE_REFUSALS, _P.SEE_HELP}),
    "auditor": frozenset({_P.SEE_ALERTS, _P.SEE_HELP}),
}

ROLE_NAMES: dict[str, str] = {
    "operador": "Operador/a",
    "jefe_turno": "Jefe/a de turno",
    "director": "Director/a de Seguridad Pública",
    "tecnico": "Técnico/a",
    "auditor": "Auditor/a",
}


def permissions_of(role: str) -> frozenset[Permission]:
    return ROLES.get(role, frozenset())
