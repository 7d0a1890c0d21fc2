"""What people of a watch group write, as they write it in Chile; each phrase means one thing. Pure.

Phrases are whole messages, already folded: small letters, no accents, no punctuation, ñ as n.
"""

import enum
from collections.abc import Mapping


class Sort(enum.StrEnum):
    """What a text asks for."""

    COMING = "coming"
    NOTHING_FOUND = "nothing_found"
    HELP = "help"
    """Help is needed at an alert that exists."""
    NOT_COMING = "not_coming"
    CALL = "call"
    """A call for help of its own."""
    JOIN = "join"
    LEAVE = "leave"
    JOIN_BULLETINS = "join_bulletins"
    LEAVE_BULLETINS = "leave_bulletins"
    TEST = "test"
    STATUS = "status"
    CODE = "code"
    """A code alone: the answer to a question that was asked back."""
    FREE = "free"


ANSWERS = frozenset({Sort.COMING, Sort.NOTHING_FOUND, Sort.HELP, Sort.NOT_COMING})
"""What is said of one alert."""

DIGITS: Mapping[str, Sort] = {"1": Sort.COMING, "2": Sort.NOTHING_FOUND, "3": Sort.HELP}

_LISTS: Mapping[Sort, str] = {
    Sort.COMING: """
        1/uno/voy/vamos/ok/okey/oki/si/ya/dale/listo/bueno/buena/vale/conforme/recibido/copiado/confirmo
        confirmado/de acuerdo/enterado/ayudo/asisto/camino/en camino/voy en camino/vamos en camino/ya voy
        si voy/ya vamos/si vamos/voy altiro/voy al tiro/altiro voy/al tiro voy/altiro/al tiro/voy llegando
        llego/voy saliendo/vamos saliendo/salgo/salgo altiro/salgo al tiro/voy para alla/vamos para alla
        voy pa alla/vamos pa alla/estoy llegando/estoy en camino/yo voy/nosotros vamos/cuenten conmigo
        si dale/ya dale/ok voy/ok vamos/ok ya voy/si ya voy/1 voy/uno voy/1 ok/1 si/ya po/ya poh/ya pos
        si po/si pos/voy po/voi/boy/boi""",
    Sort.NOTHING_FOUND: """
        2/dos/nada/sin novedad/sin novedades/s n/nada raro/nada por aca/nada por aqui/nada que reportar
        nada que informar/no hay nada/no hay novedad/no hay novedades/no veo nada/no se ve nada/no pasa nada
        todo bien/todo ok/todo tranquilo/todo en orden/todo normal/tranquilo/ninguna novedad/todo bien por aca
        todo tranquilo por aca/todo bien por aqui/todo tranquilo por aqui/sin novedad por aca
        sin novedad por aqui/2 sin novedad/dos sin novedad/2 nada/falsa alarma/era falsa alarma""",
    Sort.HELP: """
        3/tres/3 ayuda/tres ayuda/3 auxilio/3 necesito ayuda/manden refuerzos/necesito refuerzos
        necesitamos refuerzos/refuerzos""",
    Sort.NOT_COMING: """
        no/no voy/no puedo/no puedo ir/no podemos/no podemos ir/no alcanzo/estoy fuera/no estoy/no vamos
        ahora no puedo/no puedo ahora/lo siento no puedo/ando fuera/estoy lejos""",
    Sort.CALL: """
        a/ayuda/auxilio/socorro/sos/emergencia/ayudenme/ayudame/ayudennos/urgente/ayuda ayuda/ayuda por favor
        ayuda porfavor/ayuda porfa/necesito ayuda/necesitamos ayuda/pido ayuda/pedimos ayuda/manden ayuda
        envien ayuda/por favor ayuda/favor ayuda/quiero ayuda/ayuda urgente/urgente ayuda/alluda/halluda
        hayuda/ayuda necesito""",
    Sort.JOIN: "alta/quiero alta/volver/inscribir/inscribirme",
    Sort.LEAVE: "baja/vaja/stop/salir/darme de baja/dar de baja/quiero baja/unsubscribe",
    Sort.JOIN_BULLETINS: "alta boletin/alta boletines/alta boletinez",
    Sort.LEAVE_BULLETINS: "baja boletin/baja boletines/vaja boletin",
    Sort.TEST: """
        prueba/test/probando/prueva/esto es una prueba/es una prueba/prueba de mensaje/mensaje de prueba""",
    Sort.STATUS: "estado/status/en que va/que paso/como va/novedades",
}

PHRASES: Mapping[str, Sort] = {
    " ".join(phrase.split()): sort
    for sort, text in _LISTS.items()
    for phrase in text.replace("\n", "/").split("/")
    if phrase.strip()
}

TYPED_EXACTLY = frozenset({Sort.LEAVE, Sort.JOIN, Sort.LEAVE_BULLETINS, Sort.JOIN_BULLETINS})
"""A slip of a finger takes nobody off the list: «bajo» is somebody on the way down."""

OWN_WORDS = frozenset(
    """abajo aprueba alto alta aviso baja bajo buena bueno buenas cada
    caida camion camino casa dado estaba estoy
    falta fuera gano ganado lado llego lleno lleva luego mala malo mano nadie nado nata noche novia nueva
    nuevo paro poco ruego sale salta salto siento sola tanto tarde tramo vale vaca vacas vacio visto
    vista voto tengo llega vayan vaya venga ramos vemos damos humos hemos lista
    justo gusto pista dame dile dele sube suba dalo dala calle valle tranquila copiada recibida""".split()
)
"""Words in their own right that are one letter away from ours: never taken for a slip."""

MISSPELT = frozenset("ayudo alluda halluda hayuda vaja prueva boletinez".split())
"""Phrases of the table to which nothing is mended: misspelt ones, and «ayudo», one letter from a call."""

NEGATIONS = frozenset({"no", "nunca", "tampoco", "sin", "nadie", "ni"})

OPENINGS: Mapping[str, Sort] = {
    **dict.fromkeys(("voy", "vamos", "llego", "llegamos", "salgo"), Sort.COMING),
    **dict.fromkeys(("ayuda", "auxilio", "socorro", "sos", "ayudenme", "ayudame"), Sort.CALL),
}
"""First words that say it all, whatever follows."""

POLITE = frozenset(
    "por favor porfa porfavor necesito necesitamos pido manden envien urgente hola buenas si ya ok".split()
)
"""May stand before such a first word."""

MAX_COMING_WORDS = 6
"""«voy» opens a short message; in a long one it tells a story («voy a contarles lo que vi ayer ...»)."""

AT_HOME = frozenset(
    "marido esposo esposa pareja pololo polola conviviente ex expareja papa padre padrastro hijo".split()
)
BLOWS = frozenset(
    """pega pego pegando golpea golpeo golpeando golpes amenaza amenazo amenazando matar mata violento agrede
    agredio agrediendo abusa abuso maltrata encerrada encerro""".split()
)
RESERVED = frozenset({"vif", "intrafamiliar"})
"""A call for help with such words, or with one of each list above, is nobody's but the room's to know."""

SYMBOLS: Mapping[str, str] = {
    "👍": "ok", "👌": "ok", "✅": "ok", "✔": "ok", "🆗": "ok", "🙋": "voy", "🏃": "voy", "🆘": "sos",
    "½": " ", "¼": " ", "¾": " ", "²": " ", "³": " ", "¹": " ",
}  # fmt: skip
"""Pictures that people answer with. Fractions and powers are no answers, though Unicode folds them to one."""
