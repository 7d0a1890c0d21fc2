"""What goes back to somebody who wrote, and to those who wait for news. Pure; one SMS each, "económico"."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from hub.notify.replies import Sort
from hub.notify.text import MAX_CHARS, economic, kind_word, local_time, shorten

MAX_LISTED = 4
"""Alerts that one question names."""


@dataclass(frozen=True, slots=True)
class Tally:
    """How many of those who were told are coming."""

    coming: int
    told: int


def received(at: datetime, rest: str, *, is_drill: bool = False) -> str:
    head = "SIMULACRO. " if is_drill else ""
    return _fit(f"{head}Recibido {local_time(at, at)}. {rest}")


def answered(sort: Sort, code: str, tally: Tally, at: datetime, emergency: str, *, is_drill: bool) -> str:
    """To somebody whose answer to the alert ``code`` was taken."""
    if is_drill:
        return received(at, f"Su respuesta {code} quedo registrada. Gracias.", is_drill=True)
    return received(at, _ANSWERED[sort].format(code=code, tally=tally_words(tally), emergency=emergency))


_ANSWERED = {
    Sort.COMING: "{code}: {tally}. Observe e informe, no se enfrente. Emergencia {emergency}.",
    Sort.NOTHING_FOUND: "{code}: queda anotado sin novedad. Gracias.",
    Sort.HELP: "{code}: la central sabe que pide AYUDA. Emergencia {emergency}.",
    Sort.NOT_COMING: "{code}: queda anotado que no puede ir.",
}


def tally_words(tally: Tally) -> str:
    """``3 de 6 confirmaron``."""
    return f"{tally.coming} de {tally.told} {'confirmo' if tally.coming == 1 else 'confirmaron'}"


def question(alerts: Sequence[tuple[str, str]], digit: str) -> str:
    """Which of several alerts was meant; ``alerts`` are (code, kind). Asked once."""
    listed = ", ".join(f"{code} {kind_word(kind)}" for code, kind in alerts[:MAX_LISTED])
    first = alerts[0][0]
    example = f"{digit} {first}" if digit else first
    return _fit(f"Hay {len(alerts)} alertas: {listed}. Responda con el codigo, por ejemplo: {example}")


def called_help(code: str, at: datetime, emergency: str) -> str:
    return received(
        at, f"Su pedido de AYUDA es la alerta {code}. La central fue avisada. Emergencia {emergency}."
    )


def quiet(at: datetime) -> str:
    """To a call that must not be seen on this phone: that it came, and nothing else."""
    return received(at, "Gracias.")


def threaded(code: str, at: datetime, *, is_drill: bool = False) -> str:
    return received(at, f"Su mensaje quedo en la alerta {code}.", is_drill=is_drill)


def no_alert(at: datetime, emergency: str) -> str:
    """To a message that belongs to no alert."""
    return received(
        at, f"No hay una alerta abierta para usted. Si necesita ayuda responda A. Emergencia {emergency}."
    )


def unknown_code(code: str, at: datetime, emergency: str) -> str:
    """The same whether there is such an alert or not: who was not told of it learns nothing."""
    return received(at, f"No hay una alerta {code} abierta para usted. Emergencia {emergency}.")


def stranger(emergency: str) -> str:
    """To a number that is not on the list: nothing about anybody."""
    return _fit(f"Este numero atiende solo a personas inscritas. Emergencia {emergency}.")


def tested(at: datetime) -> str:
    return received(at, "Prueba correcta: su telefono esta inscrito y le llegan los avisos.")


def joined(at: datetime, *, was_in: bool, emergency: str) -> str:
    words = "Usted ya esta inscrito" if was_in else "Usted recibe avisos otra vez"
    return received(at, f"{words}. Para salir responda BAJA. Emergencia {emergency}.")


def must_ask(at: datetime) -> str:
    """ALTA from somebody whom the room switched off."""
    return received(at, "La central revisara su inscripcion.")


def left(at: datetime) -> str:
    return received(at, "No recibira mas avisos. Para volver responda ALTA.")


def bulletins(at: datetime, *, is_on: bool) -> str:
    return received(at, "Recibira boletines." if is_on else "No recibira mas boletines; las alertas si.")


def status(lines: Sequence[tuple[str, str, str, Tally]], at: datetime) -> str:
    """``lines``: (code, kind, state in Spanish, tally) of the sender's open alerts."""
    if not lines:
        return received(at, "No hay alertas abiertas para usted.")
    listed = ". ".join(
        f"{code} {kind_word(kind)}: {state.lower()}, {tally_words(tally)}"
        for code, kind, state, tally in lines[:MAX_LISTED]
    )
    return received(at, f"{listed}.")


def news(code: str, goers: Sequence[str], tally: Tally, at: datetime) -> str:
    """To the others: who goes, by the names that the group shows; none for a group that shows none."""
    who = f" Van: {', '.join(goers)}." if goers else ""
    return _fit(f"{code}: {tally_words(tally)} a las {local_time(at, at)}.{who} No se enfrente.")


def outcome(code: str, words: str) -> str:
    """To those who asked for help or went."""
    return _fit(f"{code}: {words}")


def drill(code: str, group: str, at: datetime) -> str:
    return _fit(
        f"SIMULACRO {code} {shorten(economic(group), 40)}, {local_time(at, at)}. No es una emergencia."
        " Responda 1 para probar su telefono."
    )


def button_drill(place: str, at: datetime, until: datetime, emergency: str) -> str:
    return _fit(
        f"SIMULACRO. Presione el boton de panico de {shorten(economic(place), 50)} entre las"
        f" {local_time(at, at)} y las {local_time(until, at)}. Emergencia real: {emergency}."
    )


def _fit(text: str) -> str:
    return shorten(economic(text), MAX_CHARS)
