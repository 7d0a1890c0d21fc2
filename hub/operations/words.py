"""Codes of operations in Spanish. Pure."""

from collections.abc import Mapping

KINDS: Mapping[str, str] = {
    "street_trade": "Comercio ambulante",
    "alcohol": "Alcohol en la vía pública",
    "traffic": "Control vehicular",
    "noise": "Ruidos molestos",
    "premises": "Locales y patentes",
    "rural": "Ronda rural",
    "dump": "Microbasurales",
    "other": "Otro",
}
STATES: Mapping[str, str] = {
    "planned": "Programado",
    "confirmed": "Confirmado",
    "in_progress": "En curso",
    "executed": "Ejecutado, acta abierta",
    "closed": "Acta cerrada",
    "suspended": "Suspendido",
}
MOVES: Mapping[str, str] = {
    "plan": "Programó",
    "change": "Cambió",
    "confirm": "Confirmó",
    "start": "Inició",
    "execute": "Terminó",
    "close": "Cerró el acta",
    "suspend": "Suspendió",
    "replan": "Reprogramó",
    "sign": "Firmó",
    "count": "Registró totales",
    "present": "Registró asistencia",
    "task": "Marcó una tarea",
    "correct": "Corrigió una fiscalización",
    "withdraw": "Retiró una fiscalización",
    "restore": "Repuso una fiscalización",
    "drop": "Dejó fuera una tarea",
    "point": "Marcó un punto",
    "link": "Vinculó",
    "unlink": "Quitó un vínculo",
}
PHASES: Mapping[str, str] = {"before": "Antes", "during": "Durante", "after": "Después"}
ROLES: Mapping[str, str] = {"leads": "Lidera", "joins": "Participa"}
ACTING: Mapping[str, str] = {"autonomous": "Autónomo", "assisting": "Coadyuvante"}
COUNTS: Mapping[str, str] = {
    "stalls": "Puestos",
    "identity": "Controles de identidad",
    "vehicles": "Controles vehiculares",
    "arrests": "Detenidos",
    "sanitary_files": "Sumarios sanitarios",
    "victims_referred": "Víctimas derivadas",
}
RESULTS: Mapping[str, str] = {
    "no_remark": "Sin observación",
    "warning": "Advertencia",
    "infringement": "Infracción",
    "closure_referred": "Clausura derivada",
}
PERMITS: Mapping[str, str] = {
    "valid": "vigente",
    "expired": "vencido",
    "none": "no tiene",
    "unknown": "no se sabe",
    "not_needed": "no requiere",
    "other_place": "de otro lugar",
}
DESTINATIONS: Mapping[str, str] = {
    "destruction": "Destrucción",
    "charity": "Beneficencia",
    "custody": "Custodia",
}
RELATIONS: Mapping[str, str] = {"origin": "Lo originó", "during": "Durante", "after": "Después"}


def kind_name(kind: str) -> str:
    """Also of a kind that a file brought along: its words."""
    return KINDS.get(kind) or kind.replace("_", " ").capitalize()
