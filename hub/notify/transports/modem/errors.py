"""What a modem can refuse, whose fault it is, and what a technician does about it.

Codes: 3GPP TS 27.005 section 3.2.5 (+CMS: 1-127 are RP causes of TS 24.011 annex E, 128-255 are TP-FCS of
TS 23.040, 300 and above are the modem's own) and TS 27.007 section 9.2 (+CME).
"""

import re
from dataclasses import dataclass
from enum import Enum

from hub.notify.transports import TransportError


class Fault(Enum):
    """Whose fault a refusal is; this decides whether the same text may be tried again, and where."""

    RECIPIENT = "recipient"
    """This number cannot be reached by anybody: do not repeat."""
    MESSAGE = "message"
    """Our text is refused as it is: do not repeat."""
    SIM = "sim"
    """This SIM may not or cannot send: another transport can, and a person has to see to the SIM."""
    NETWORK = "network"
    """Passes by itself: repeat later, or by another transport."""
    MODEM = "modem"
    """The device is in trouble: repeat after it was reset, or by another transport."""


_PERMANENT = frozenset((Fault.RECIPIENT, Fault.MESSAGE))


class ModemError(TransportError):
    """A text that this modem did not send, or does not know whether it did (``maybe_sent``)."""

    def __init__(
        self, message: str, fault: Fault, *, maybe_sent: bool = False, rest_s: float | None = None
    ) -> None:
        super().__init__(message, permanent=fault in _PERMANENT, maybe_sent=maybe_sent, rest_s=rest_s)
        self.fault = fault


class RateLimitedError(ModemError):
    """The SIM has used up what its operator tolerates; free again after its rest."""

    def __init__(self, rest_s: float) -> None:
        words = f"la SIM llegó a su límite de mensajes; libre en {rest_s:.0f} s"
        super().__init__(words, Fault.SIM, rest_s=rest_s)


class LineError(Exception):
    """The modem does not answer, or the port is gone. Ends the session; the driver opens another."""


class NoAnswerError(LineError):
    """The command got no reply in time."""


class RestartedError(LineError):
    """The modem restarted by itself and has to be set up again."""


class LeftError(LineError):
    """The link died after a PDU had left: it may arrive."""


class PortError(LineError):
    """The port cannot be opened, or it went away. ``problem`` says why."""

    def __init__(self, problem: "Problem") -> None:
        super().__init__(problem.cause)
        self.problem = problem


class UnusableError(Exception):
    """The modem answers and still cannot send; ``problem`` says why."""

    def __init__(self, problem: "Problem") -> None:
        super().__init__(problem.cause)
        self.problem = problem


class CommandError(Exception):
    """The modem answered a command with an error: ``final`` is its line."""

    def __init__(self, command: str, final: str) -> None:
        super().__init__(f"{command}: {final}")
        self.final = final


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a modem is not usable, and the remedy. Spanish: the technician reads both."""

    cause: str
    remedy: str


PORT_MISSING = Problem(
    "el puerto no existe",
    "enchufe el módem y mire «ls /dev/serial/by-id/»; si aparece y desaparece, cambie el cable",
)
PORT_DENIED = Problem(
    "no hay permiso para abrir el puerto",
    "agregue el usuario al grupo dialout («usermod -aG dialout almenara») y reinicie el hub",
)
PORT_BUSY = Problem(
    "otro programa usa el puerto",
    "detenga el hub u otro programa que lo use («fuser PUERTO»), y quite ModemManager",
)
PORT_LOST = Problem(
    "el módem se desconectó",
    "revise el cable y la alimentación; vuelve solo cuando se enchufa de nuevo",
)
PORT_UNREADABLE = Problem(
    "el puerto no se puede leer", "indique un puerto serial, por ejemplo /dev/serial/by-id/…-if02"
)
NO_ANSWER = Problem(
    "el módem no responde a AT",
    "pruebe otro puerto del mismo módem (suele ser el if02 o el if03) y revise su alimentación",
)
SIM_MISSING = Problem(
    "no hay SIM", "apague el módem, inserte la SIM con los contactos hacia abajo y enciéndalo"
)
SIM_FAILED = Problem("la SIM no funciona", "limpie sus contactos o cámbiela; pruébela antes en un teléfono")
SIM_BUSY = Problem("la SIM aún no está lista", "espere un minuto y pruebe de nuevo")
PIN_NEEDED = Problem(
    "la SIM pide PIN", "escriba el PIN en un archivo solo legible por el hub e indíquelo en pin_file"
)
PIN_WRONG = Problem(
    "el PIN es incorrecto",
    "corrija el archivo del PIN antes de reiniciar: a los tres intentos malos la SIM se bloquea",
)
PIN_UNREADABLE = Problem("el archivo del PIN no se puede leer", "revise su ruta y sus permisos")
PIN_MALFORMED = Problem("el archivo del PIN no contiene un PIN", "debe contener solo 4 a 8 cifras")
PIN_RISKY = Problem(
    "queda un solo intento de PIN",
    "no se gastará: ponga la SIM en un teléfono, ingrese ahí el PIN correcto y vuelva a instalarla",
)
PUK_NEEDED = Problem(
    "la SIM está bloqueada y pide PUK", "desbloquéela en un teléfono con el PUK del operador"
)
LOCKED = Problem(
    "el módem está bloqueado para otro operador", "use una SIM de ese operador o un módem liberado"
)
SEARCHING = Problem(
    "el módem busca red", "espere dos minutos; si sigue así, mejore la antena o muévalo a una ventana"
)
DENIED = Problem(
    "la red rechaza la SIM",
    "revise con el operador que la SIM esté activa y pagada y que el módem esté inscrito (IMEI homologado)",
)
EMERGENCY_ONLY = Problem(
    "solo hay llamadas de emergencia", "revise que la SIM esté activa; pruébela en un teléfono"
)
NOT_SEARCHING = Problem("no hay red", "revise la antena; mueva el módem a una ventana o en altura")
NO_SMSC = Problem(
    "la SIM no trae el número de la central de mensajes (SMSC)",
    "pídalo al operador e indíquelo en smsc, por ejemplo +56…",
)
NO_PDU_MODE = Problem(
    "el módem no tiene modo PDU", "este módem no sirve para SMS; elija otro (docs/modem-sms.md)"
)


@dataclass(frozen=True, slots=True)
class Cause:
    """A code's meaning, in Spanish, and whose fault it is."""

    text: str
    fault: Fault
    problem: Problem | None = None


_R, _T, _S, _N, _M = Fault.RECIPIENT, Fault.MESSAGE, Fault.SIM, Fault.NETWORK, Fault.MODEM

CMS: dict[int, Cause] = {
    1: Cause("el número no existe", _R),
    8: Cause("el operador bloquea los mensajes de esta SIM", _S),
    10: Cause("el operador bloquea los mensajes de esta SIM", _S),
    17: Cause("falla de la red", _N),
    21: Cause("la red rechazó el mensaje", _N),
    22: Cause("el teléfono no tiene memoria libre", _N),
    27: Cause("el teléfono está fuera de servicio", _N),
    28: Cause("el número no es de un abonado", _R),
    29: Cause("el operador no ofrece mensajes a esta SIM", _S),
    30: Cause("el número no es de un abonado", _R),
    38: Cause("la red está fuera de servicio", _N),
    41: Cause("falla pasajera de la red", _N),
    42: Cause("la red está congestionada", _N),
    47: Cause("la red no tiene recursos", _N),
    50: Cause("la SIM no tiene contratados los mensajes", _S),
    69: Cause("el operador no ofrece este servicio", _S),
    81: Cause("referencia de mensaje inválida", _N),
    95: Cause("la red no entiende el mensaje", _T),
    96: Cause("la red no entiende el mensaje", _T),
    97: Cause("la red no entiende el mensaje", _T),
    98: Cause("mensaje a destiempo", _N),
    99: Cause("la red no entiende el mensaje", _T),
    111: Cause("error de protocolo de la red", _N),
    127: Cause("falla entre redes", _N),
    144: Cause("la central no acepta este alfabeto", _T),
    145: Cause("la central no acepta esta clase de mensaje", _T),
    175: Cause("la central no acepta el mensaje", _T),
    176: Cause("la central no acepta el mensaje", _T),
    192: Cause("la central de mensajes está ocupada", _N),
    193: Cause("la SIM no está inscrita en la central de mensajes", _S),
    194: Cause("falla de la central de mensajes", _N),
    195: Cause("el número no es válido", _R),
    196: Cause("el número no recibe mensajes", _R),
    197: Cause("la central lo tomó por repetido", _T),
    208: Cause("la memoria de la SIM está llena", _M),
    211: Cause("la memoria del módem está llena", _M),
    300: Cause("falla del módem", _M),
    301: Cause("el módem tiene ocupado el servicio de mensajes", _M),
    302: Cause("el módem no permite enviar ahora", _M),
    303: Cause("el módem no sabe enviar mensajes", _M, NO_PDU_MODE),
    304: Cause("el módem no entiende el mensaje", _T),
    305: Cause("el módem no entiende el mensaje", _M),
    310: Cause("no hay SIM", _S, SIM_MISSING),
    311: Cause("la SIM pide PIN", _S, PIN_NEEDED),
    312: Cause("el módem está bloqueado", _S, LOCKED),
    313: Cause("la SIM no funciona", _S, SIM_FAILED),
    314: Cause("la SIM está ocupada", _M, SIM_BUSY),
    315: Cause("la SIM no sirve", _S, SIM_FAILED),
    316: Cause("la SIM pide PUK", _S, PUK_NEEDED),
    317: Cause("la SIM pide PIN2", _S),
    318: Cause("la SIM pide PUK2", _S),
    320: Cause("falla de la memoria del módem", _M),
    321: Cause("ese lugar de la memoria no existe", _M),
    322: Cause("la memoria está llena", _M),
    330: Cause("falta el número de la central de mensajes", _S, NO_SMSC),
    331: Cause("no hay red", _N, NOT_SEARCHING),
    332: Cause("la red no respondió", _N),
    340: Cause("el módem no esperaba confirmación", _M),
    500: Cause("error sin explicación del módem", _M),
}

CME: dict[int, Cause] = {
    0: Cause("falla del teléfono", _M),
    3: Cause("el módem no lo permite", _M),
    4: Cause("el módem no lo sabe hacer", _M),
    10: Cause("no hay SIM", _S, SIM_MISSING),
    11: Cause("la SIM pide PIN", _S, PIN_NEEDED),
    12: Cause("la SIM pide PUK", _S, PUK_NEEDED),
    13: Cause("la SIM no funciona", _S, SIM_FAILED),
    14: Cause("la SIM está ocupada", _M, SIM_BUSY),
    15: Cause("la SIM no sirve", _S, SIM_FAILED),
    16: Cause("la clave es incorrecta", _S, PIN_WRONG),
    17: Cause("la SIM pide PIN2", _S),
    18: Cause("la SIM pide PUK2", _S),
    20: Cause("la memoria está llena", _M),
    21: Cause("ese lugar de la memoria no existe", _M),
    30: Cause("no hay red", _N, NOT_SEARCHING),
    31: Cause("la red no respondió", _N),
    32: Cause("solo hay llamadas de emergencia", _S, EMERGENCY_ONLY),
    100: Cause("error sin explicación del módem", _M),
}

NOT_YET = frozenset((CMS[302], CMS[314], CMS[500], CME[14]))
"""What modems answer while the SIM is still opening."""
MEMORY_FULL = frozenset((CMS[208], CMS[211], CMS[322], CME[20]))

_UNKNOWN = Cause("error sin explicación del módem", _M)
_CODE = re.compile(r"\+(CM[SE]) ERROR: ?(\d+)")
# Modems with +CMEE=2 in spite of ours write words.
_WORDS = {
    "sim not inserted": 10,
    "sim pin required": 11,
    "sim puk required": 12,
    "sim failure": 13,
    "sim busy": 14,
    "sim wrong": 15,
    "incorrect password": 16,
    "memory full": 20,
    "no network service": 30,
    "network timeout": 31,
}


def cause_of(final: str) -> Cause:
    """The meaning of a final result (``+CMS ERROR: 38``); an unknown one is the modem's fault."""
    found = _CODE.fullmatch(final)
    if found is None:
        return CME.get(_WORDS.get(final.partition(": ")[2].strip().lower(), -1), _UNKNOWN)
    table = CMS if found[1] == "CMS" else CME
    return table.get(int(found[2]), _UNKNOWN)


def refusal(final: str) -> ModemError:
    """The error of a text that the modem answered with ``final``, whose code is kept for the technician."""
    cause = cause_of(final)
    return ModemError(f"{cause.text} ({final})", cause.fault)


# TP-Status, TS 23.040 section 9.2.3.15
_STATUS = {
    0x00: "entregado",
    0x01: "entregado a la red, sin confirmación del teléfono",
    0x02: "reemplazado por la central",
    0x40: "error de protocolo",
    0x41: "el teléfono no es compatible",
    0x43: "el número no existe o está bloqueado",
    0x44: "la central no tiene los datos del teléfono",
    0x45: "la red no lo aceptó",
    0x46: "venció el plazo: el teléfono estuvo apagado o sin señal",
    0x47: "borrado por quien lo envió",
    0x48: "borrado por la red",
    0x49: "la central no lo conoce",
}


def report_text(status: int) -> str:
    """The outcome in a delivery report, in Spanish; the code is kept where it says more."""
    if status in _STATUS:
        return _STATUS[status]
    return "entregado" if status < 0x20 else f"no entregado (estado 0x{status:02X})"


def all_problems() -> list[Problem]:
    """Every problem, in the order in which a technician meets them; the guide shows them."""
    return [found for found in globals().values() if isinstance(found, Problem)]
