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
    SEE_SILENCES = "see_silences"
    MAKE_SILENCES = "make_silences"
    SEE_HANDOVER = "see_handover"
    SIGN_HANDOVER = "sign_handover"
    KEEP_ROOM = "keep_room"
    """This person at an open console means that the room is not empty."""
    WATCH_ROOM = "watch_room"
    """Say whether somebody has to be in the room."""
    SEE_TURNS = "see_turns"
    CHANGE_TURNS = "change_turns"
    SEE_RULES = "see_rules"
    REHEARSE_RULES = "rehearse_rules"
    PROMOTE_RULES = "promote_rules"
    SEE_PLAN = "see_plan"
    """The safety plan with its figures, and the verification of each."""
    SEE_DIRECTION = "see_direction"
    """The one screen of whoever answers for the plan."""
    CHANGE_PLAN = "change_plan"
    """Evidence of activities, a new version of the plan, the freezing of a period."""
    SEE_PAPERS = "see_papers"
    """Documents as they were made: sheets, packs, actas."""
    MAKE_PAPERS = "make_papers"
    SEE_OPERATIONS = "see_operations"
    PLAN_OPERATIONS = "plan_operations"
    """Plan, confirm, suspend and close an operation; link and unlink what the field said."""
    RECORD_INSPECTIONS = "record_inspections"
    """Write inspections and patrols, in the street or at a desk."""
    SEE_REGISTERS = "see_registers"
    """The page of registers; what stands on it depends on the permissions of each."""
    SEE_COUNCIL = "see_council"
    KEEP_COUNCIL = "keep_council"
    """Sessions, attendance, agreements, actas; projects and agreements with other institutions."""
    SEE_REFERRALS = "see_referrals"
    """Referrals of victims one by one; each reading is audited."""
    KEEP_REFERRALS = "keep_referrals"
    SEE_WALL = "see_wall"
    """The wall's figures: nobody's name, reserved cases under their neutral label alone."""
    SEE_DEVICES = "see_devices"
    SEE_REFUSALS = "see_refusals"
    SEE_HELP = "see_help"
    SEE_GROUPS = "see_groups"
    """Watch groups and drills in numbers: nobody's name."""
    SEE_PEOPLE = "see_people"
    """Who is in a group, who answered, what strangers wrote."""
    CALL_PEOPLE = "call_people"
    """The telephone number of whoever is to be called next."""
    MANAGE_PEOPLE = "manage_people"
    """A group's settings, drills, bulletins."""


_P = Permission
_WATCH = frozenset({_P.SEE_ALERTS, _P.SEE_SILENCES, _P.SEE_DEVICES, _P.SEE_HELP, _P.SEE_WALL})
_WORK = _WATCH | {
    _P.WORK_ALERTS,
    _P.CHANGE_PRIORITY,
    _P.CLASSIFY_ALERTS,
    _P.LINK_ALERTS,
    _P.MAKE_SILENCES,
    _P.SEE_HANDOVER,
    _P.SIGN_HANDOVER,
    _P.KEEP_ROOM,
    _P.SEE_TURNS,
    _P.SEE_RULES,
    _P.SEE_RESTRICTED,
    _P.SEE_GROUPS,
    _P.SEE_PEOPLE,
    _P.CALL_PEOPLE,
    _P.SEE_OPERATIONS,
}

ROLES: dict[str, frozenset[Permission]] = {
    "operador": _WORK,
    "jefe_turno": _WORK
    | {
        _P.REOPEN_ALERTS,
        _P.UNRESERVE_ALERTS,
        _P.SEE_PLAN,
        _P.SEE_PAPERS,
        _P.MAKE_PAPERS,
        _P.PLAN_OPERATIONS,
        _P.RECORD_INSPECTIONS,
        _P.SEE_COUNCIL,
        _P.SEE_REGISTERS,
        _P.SEE_REFUSALS,
        _P.MANAGE_PEOPLE,
        _P.WATCH_ROOM,
        _P.CHANGE_TURNS,
        _P.REHEARSE_RULES,
        _P.PROMOTE_RULES,
    },
    "director": _WATCH
    | {
        _P.SEE_RESTRICTED,
        _P.SEE_PLAN,
        _P.SEE_DIRECTION,
        _P.SEE_PAPERS,
        _P.MAKE_PAPERS,
        _P.CHANGE_PLAN,
        _P.SEE_OPERATIONS,
        _P.PLAN_OPERATIONS,
        _P.SEE_COUNCIL,
        _P.SEE_REGISTERS,
        _P.KEEP_COUNCIL,
        _P.SEE_GROUPS,
        _P.SEE_HANDOVER,
        _P.SEE_TURNS,
        _P.WATCH_ROOM,
        _P.SEE_RULES,
        _P.REHEARSE_RULES,
        _P.PROMOTE_RULES,
    },
    "inspector": frozenset({_P.SEE_OPERATIONS, _P.RECORD_INSPECTIONS}),
    "victimas": frozenset(
        {_P.SEE_ALERTS, _P.SEE_RESTRICTED, _P.SEE_HELP, _P.SEE_REFERRALS, _P.KEEP_REFERRALS, _P.SEE_REGISTERS}
    ),
    "tecnico": frozenset(
        {_P.SEE_RULES, _P.REHEARSE_RULES, _P.SEE_SILENCES, _P.SEE_DEVICES, _P.SEE_REFUSALS, _P.SEE_HELP}
    ),
    "auditor": frozenset(
        {
            _P.SEE_PLAN,
            _P.SEE_PAPERS,
            _P.SEE_OPERATIONS,
            _P.SEE_COUNCIL,
            _P.SEE_REGISTERS,
            _P.SEE_RULES,
            _P.SEE_ALERTS,
            _P.SEE_HANDOVER,
            _P.SEE_SILENCES,
            _P.SEE_HELP,
            _P.SEE_GROUPS,
        }
    ),
    "pantalla": frozenset({_P.SEE_WALL}),
}

ROLE_NAMES: dict[str, str] = {
    "operador": "Operador/a",
    "jefe_turno": "Jefe/a de turno",
    "director": "Director/a de Seguridad Pública",
    "inspector": "Inspector/a",
    "victimas": "Atención a víctimas",
    "tecnico": "Técnico/a",
    "auditor": "Auditor/a",
    "pantalla": "Pantalla de pared",
}


def permissions_of(role: str) -> frozenset[Permission]:
    return ROLES.get(role, frozenset())
