"""The life of an alert: one table of legal moves. Pure; documentation and buttons are drawn from it."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime


class State(enum.StrEnum):
    """Where an alert stands. Only CLOSED and MERGED are off the screen."""

    RECEIVED = "received"
    ACKNOWLEDGED = "acknowledged"
    VERIFYING = "verifying"
    DISPATCHED = "dispatched"
    ON_SCENE = "on_scene"
    CONTROLLED = "controlled"
    REFERRED = "referred"
    CLOSED = "closed"
    MERGED = "merged"


class Reason(enum.StrEnum):
    """Why an alert was closed. TEST and DRILL never enter indicators."""

    ATTENDED = "attended"
    REFERRED = "referred"
    NOTHING_FOUND = "nothing_found"
    MISTAKEN = "mistaken"
    TECHNICAL = "technical"
    TEST = "test"
    DRILL = "drill"
    DUPLICATE = "duplicate"


class Move(enum.StrEnum):
    """What a person (or the hub) does with an alert."""

    ACKNOWLEDGE = "acknowledge"
    VERIFY = "verify"
    DISPATCH = "dispatch"
    ARRIVE = "arrive"
    CONTROL = "control"
    CLOSE = "close"
    REFER = "refer"
    MERGE = "merge"
    REOPEN = "reopen"
    ASSIGN = "assign"
    COMMENT = "comment"


_S, _M = State, Move

FINAL = frozenset({State.CLOSED, State.MERGED})
"""States of an alert that is off the screen (``closed_at`` is set)."""

OPEN = tuple(state for state in State if state not in FINAL)

_WAYS: Mapping[State, Mapping[Move, State]] = {
    _S.RECEIVED: {
        _M.ACKNOWLEDGE: _S.ACKNOWLEDGED,
        # whoever verifies or dispatches at once has taken the alert by it
        _M.VERIFY: _S.VERIFYING,
        _M.DISPATCH: _S.DISPATCHED,
    },
    _S.ACKNOWLEDGED: {_M.VERIFY: _S.VERIFYING, _M.DISPATCH: _S.DISPATCHED},
    _S.VERIFYING: {_M.DISPATCH: _S.DISPATCHED, _M.CONTROL: _S.CONTROLLED},
    _S.DISPATCHED: {_M.ARRIVE: _S.ON_SCENE, _M.CONTROL: _S.CONTROLLED},
    _S.ON_SCENE: {_M.CONTROL: _S.CONTROLLED},
    # what flares up again gets a patrol again
    _S.CONTROLLED: {_M.DISPATCH: _S.DISPATCHED},
    # the other institution leads; the room follows and may still send its own
    _S.REFERRED: {_M.DISPATCH: _S.DISPATCHED, _M.ARRIVE: _S.ON_SCENE, _M.CONTROL: _S.CONTROLLED},
    # whoever reopens has taken it; a wrong merge is undone the same way
    _S.CLOSED: {_M.REOPEN: _S.ACKNOWLEDGED},
    _S.MERGED: {_M.REOPEN: _S.ACKNOWLEDGED},
}

MOVES: dict[tuple[State, Move], State] = {
    **{(state, move): after for state, ways in _WAYS.items() for move, after in ways.items()},
    **{(state, Move.CLOSE): State.CLOSED for state in OPEN},
    **{(state, Move.REFER): State.REFERRED for state in OPEN},
    **{(state, Move.MERGE): State.MERGED for state in OPEN},
    **{(state, Move.ASSIGN): state for state in OPEN},
    **{(state, Move.COMMENT): state for state in State},
}
"""Every legal move, and the state after it. What is not in here is refused."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One move with its author, time and cause.

    ``target`` is whom or what the move points at: the institution of REFER, the login of ASSIGN, the id
    of the alert that MERGE joins. ``reason`` belongs to CLOSE alone.
    """

    move: Move
    author: str
    at: datetime
    note: str = ""
    reason: Reason | None = None
    target: str = ""


NEEDS: Mapping[Move, str] = {
    Move.CLOSE: "reason",
    Move.REFER: "target",
    Move.MERGE: "target",
    Move.ASSIGN: "target",
    Move.COMMENT: "note",
}
"""The field of :class:`Step` without which a move says too little."""


class AlertError(Exception):
    """An alert was not changed."""


class IllegalMoveError(AlertError):
    """The table knows no such move from this state. ``allowed`` are those that it knows."""

    def __init__(self, state: State, move: Move) -> None:
        self.state, self.move, self.allowed = state, move, allowed(state)
        super().__init__(f"a {state} alert has no move {move!s}; it has {', '.join(self.allowed)}")


class IncompleteMoveError(AlertError):
    """A move lacks its author, its cause or its target; ``field`` of :class:`Step` names which."""

    def __init__(self, move: Move, field: str) -> None:
        self.move, self.field = move, field
        super().__init__(f"{move} needs {field}")


def allowed(state: State) -> tuple[Move, ...]:
    """The moves that are legal from a state, in the order in which they are offered."""
    return tuple(move for move in Move if (state, move) in MOVES)


def apply(state: State, step: Step) -> State:
    """The state after ``step``; raises :class:`IllegalMoveError` or :class:`IncompleteMoveError`."""
    if (state, step.move) not in MOVES:
        raise IllegalMoveError(state, step.move)
    for field in ("author", NEEDS.get(step.move)):
        if field is not None and not getattr(step, field):
            raise IncompleteMoveError(step.move, field)
    return MOVES[state, step.move]


# -------------------------------------------------------------------------------------------- words

STATE_LABELS: Mapping[State, str] = {
    State.RECEIVED: "Recibida",
    State.ACKNOWLEDGED: "Acusada",
    State.VERIFYING: "En verificación",
    State.DISPATCHED: "Despachada",
    State.ON_SCENE: "En el lugar",
    State.CONTROLLED: "Controlada",
    State.REFERRED: "Derivada",
    State.CLOSED: "Cerrada",
    State.MERGED: "Fusionada",
}

REASON_LABELS: Mapping[Reason, str] = {
    Reason.ATTENDED: "Real atendida",
    Reason.REFERRED: "Real derivada",
    Reason.NOTHING_FOUND: "Sin novedad",
    Reason.MISTAKEN: "Falsa por error",
    Reason.TECHNICAL: "Falsa técnica",
    Reason.TEST: "Prueba",
    Reason.DRILL: "Simulacro",
    Reason.DUPLICATE: "Duplicada",
}

MOVE_LABELS: Mapping[Move, str] = {
    Move.ACKNOWLEDGE: "Acusar recibo",
    Move.VERIFY: "Verificar",
    Move.DISPATCH: "Despachar",
    Move.ARRIVE: "Llegó al lugar",
    Move.CONTROL: "Controlada",
    Move.CLOSE: "Cerrar",
    Move.REFER: "Derivar",
    Move.MERGE: "Fusionar",
    Move.REOPEN: "Reabrir",
    Move.ASSIGN: "Asignar",
    Move.COMMENT: "Anotar",
}
"""Words of the buttons."""


def mermaid() -> str:
    """The table as a Mermaid state diagram; what is possible from every open state is drawn once."""
    anywhere = [
        m for m in Move if all((s, m) in MOVES for s in OPEN) and m not in (Move.ASSIGN, Move.COMMENT)
    ]
    lines = ["stateDiagram-v2", "  [*] --> received"]
    for (state, move), after in MOVES.items():
        if state is not after and move not in anywhere:
            lines.append(f"  {state} --> {after}: {move}")
    lines.append("  state any_open <<choice>>")
    lines.extend(f"  any_open --> {MOVES[State.RECEIVED, move]}: {move}" for move in anywhere)
    return "\n".join(lines)


def markdown() -> str:
    """The table as Markdown: states down, moves across, the state after in the cell."""
    moves = [move for move in Move if move is not Move.COMMENT]
    rows = [[f"**{state}**", *(str(MOVES.get((state, move), "")) for move in moves)] for state in State]
    table = [["from \\ move", *moves], ["---"] * (len(moves) + 1), *rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in table)
