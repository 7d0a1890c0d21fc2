"""What changed from one version of a plan to the next, in words for the Concejo. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from hub.plan.model import Plan
from hub.plan.writing import as_document

_WORDS = {
    "nombre": "el nombre",
    "problema": "el problema",
    "objetivo": "el objetivo",
    "materia_104F": "las materias del art. 104 F",
    "inicio": "el inicio",
    "fin": "el término",
    "responsable": "el responsable",
    "corresponsables": "los corresponsables",
    "presupuesto_clp": "el presupuesto",
    "fuente": "la fuente",
    "formula": "la fórmula",
    "unidad": "la unidad",
    "sentido": "el sentido",
    "periodo": "el período",
    "linea_base": "la línea base",
    "meta": "la meta",
    "verificacion": "el medio de verificación",
    "supuesto": "el supuesto",
    "sectores": "los sectores",
    "base": "el indicador base",
    "nota": "la nota",
    "comuna": "los datos de la comuna",
    "vigencia": "la vigencia",
    "actualizacion": "el número de actualización",
    "marco": "el marco legal",
    "aprobado": "la aprobación",
    "publicado_web": "la fecha de publicación",
}
_PARTS = ("componentes", "actividades", "indicadores")


def differences(old: Plan, new: Plan) -> list[str]:
    """One sentence for each change, in the order of the new plan; what was taken out comes last."""
    before, after = _entries(old), _entries(new)
    lines = []
    for key, values in after.items():
        if key not in before:
            lines.append(f"Se agrega {key}: {_title(values)}")
        else:
            lines += _changes(key, before[key], values)
    lines += [f"Se elimina {key}: {_title(values)}" for key, values in before.items() if key not in after]
    return lines


def _entries(plan: Plan) -> dict[str, dict[str, Any]]:
    """Each part of the plan by its kind and id, without the parts inside of it."""
    document = as_document(plan)
    found = {"el plan": document["plan"]}
    for objective in document["objetivos"]:
        found[f"el objetivo {objective['id']}"] = _own(objective)
        for component in objective.get("componentes", []):
            found[f"el componente {component['id']}"] = _own(component)
            for activity in component.get("actividades", []):
                found[f"la actividad {activity['id']}"] = activity
        for indicator in objective.get("indicadores", []):
            found[f"el indicador {indicator['id']}"] = indicator
    return found


def _own(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in _PARTS}


def _title(values: Mapping[str, Any]) -> str:
    return str(values.get("nombre") or values.get("objetivo") or values.get("id"))


def _changes(key: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterable[str]:
    for name in dict.fromkeys((*old, *new)):
        before, after = old.get(name), new.get(name)
        if before != after:
            what = _WORDS.get(name, f"«{name}»")
            yield f"En {key} cambia {what}: de {_shown(before)} a {_shown(after)}"


def _shown(value: Any) -> str:
    if value is None:
        return "nada"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_shown(one)}" for key, one in value.items())
    if isinstance(value, list):
        return ", ".join(str(one) for one in value)
    return (
        f"{value:g}" if isinstance(value, float) else f"«{value}»" if isinstance(value, str) else str(value)
    )
