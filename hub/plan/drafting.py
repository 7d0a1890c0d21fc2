"""The parts of a plan as forms: read, change, add, take out. Pure; the plan's own loader is the judge.

A draft is the plan's document with every value as text. It may hold mistakes for as long as somebody works
at it; only a draft without any becomes a version.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import yaml

from hub.plan.errors import PlanError, PlanFileError
from hub.plan.fields import identifier
from hub.plan.loading import load_plan
from hub.plan.model import DIRECTIONS, INDICATOR_PERIODS, Plan, Topics

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Field:
    """``sort``: line, long, day, number, lines (one a line), words (with commas), choice or topics.

    ``key`` names a place inside of the part: ``aprobado.concejo``.
    """

    key: str
    label: str
    sort: str = "line"
    choices: Sequence[str] = ()
    is_needed: bool = False


@dataclass(frozen=True, slots=True)
class Kind:
    """``holds``: kinds of parts inside of it, and the key of their list."""

    name: str
    fields: Sequence[Field]
    holds: Mapping[str, str]


KINDS: Mapping[str, Kind] = {
    "plan": Kind(
        "Plan",
        (
            Field("id", "Código del plan", is_needed=True),
            Field("vigencia.0", "Rige desde", "day", is_needed=True),
            Field("vigencia.1", "Hasta", "day", is_needed=True),
            Field("marco", "Marco legal, una norma por línea", "lines"),
            Field("aprobado.concejo", "Aprobado por el Concejo el", "day"),
            Field("aprobado.decreto", "Decreto"),
            Field("publicado_web", "Publicado en la web el", "day"),
            Field("comuna.nombre", "Comuna", is_needed=True),
            Field("comuna.cut", "Código único territorial", is_needed=True),
            Field("comuna.poblacion", "Población", "number"),
        ),
        {"objetivo": "objetivos"},
    ),
    "objetivo": Kind(
        "Objetivo",
        (
            Field("problema", "Problema", "long", is_needed=True),
            Field("objetivo", "Objetivo", "long", is_needed=True),
            Field("materia_104F", "Materias del art. 104 F", "topics", is_needed=True),
        ),
        {"componente": "componentes", "indicador": "indicadores"},
    ),
    "componente": Kind(
        "Componente", (Field("nombre", "Nombre", is_needed=True),), {"actividad": "actividades"}
    ),
    "actividad": Kind(
        "Actividad",
        (
            Field("nombre", "Nombre", "long", is_needed=True),
            Field("inicio", "Inicio", "day", is_needed=True),
            Field("fin", "Término", "day", is_needed=True),
            Field("responsable", "Responsable (unidad o cargo)", is_needed=True),
            Field("corresponsables", "Corresponsables, con coma", "words"),
            Field("presupuesto_clp", "Presupuesto en pesos", "number"),
            Field("fuente", "Fuente del dinero"),
        ),
        {},
    ),
    "indicador": Kind(
        "Indicador",
        (
            Field("nombre", "Nombre", "long", is_needed=True),
            Field("base", "Indicador base (I01 a I26)"),
            Field("formula", "Fórmula", "long", is_needed=True),
            Field("unidad", "Unidad", is_needed=True),
            Field("sentido", "Sentido", "choice", DIRECTIONS, is_needed=True),
            Field("periodo", "Período", "choice", INDICATOR_PERIODS, is_needed=True),
            Field("sectores", "Sectores, con coma; vacío: toda la comuna", "words"),
            Field("linea_base.valor", "Línea base; vacío: por medir"),
            Field("linea_base.anio", "Año de la línea base", "number"),
            Field("verificacion", "Medio de verificación", is_needed=True),
            Field("fuente", "Fuente"),
            Field("supuesto", "Supuesto"),
            Field("nota", "Nota"),
        ),
        {},
    ),
}


def fields_of(kind: str, years: Sequence[int] = ()) -> list[Field]:
    """The fields of a part; an indicator has a target for each year of the plan."""
    found = list(KINDS[kind].fields)
    if kind == "indicador":
        found[-4:-4] = [Field(f"meta.{year}", f"Meta {year}") for year in years]
    return found


@dataclass(frozen=True, slots=True)
class Part:
    """``id`` is ``plan`` for the head. ``parts`` are those inside of it."""

    kind: str
    id: str
    title: str
    values: Mapping[str, Any]
    parts: Sequence["Part"] = ()


# --------------------------------------------------------------------------------------------- read


def read(text: str) -> Document:
    """The document of a draft. Raises :class:`PlanError` for what is no plan's YAML."""
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.CBaseLoader)):
            raise PlanError("el archivo usa anclas (*); escriba cada parte entera")
        found = yaml.load(text, Loader=yaml.CBaseLoader)  # noqa: S506  (text alone: no object is made)
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (línea {mark.line + 1})" if mark else ""
        raise PlanError(f"no es YAML válido{where}; corrija el archivo") from None
    is_plan = isinstance(found, dict) and isinstance(found.get("plan"), dict)
    if not is_plan or not isinstance(found.get("objetivos", []), list):
        raise PlanError("al archivo le falta «plan:» u «objetivos:»; use el de una exportación")
    try:
        tree(found)
    except (AttributeError, TypeError, KeyError):
        raise PlanError("el archivo no tiene la forma de un plan; use el de una exportación") from None
    document: Document = found
    return document


def write(document: Document) -> str:
    text: str = yaml.safe_dump(
        document, allow_unicode=True, sort_keys=False, width=110, default_flow_style=None
    )
    return text


def judge(text: str, topics: Topics) -> tuple[Plan | None, list[str]]:
    """The plan, as far as it can be read, and every mistake in words."""
    try:
        loaded = load_plan(text, topics, is_partial=True)
    except PlanFileError as error:
        return None, [problem.text for problem in error.problems]
    return loaded.plan, [problem.text for problem in loaded.left_out]


def tree(document: Document) -> Part:
    """The plan with everything in it."""
    head = document["plan"]
    parts = [_part("objetivo", one) for one in document.get("objetivos", [])]
    return Part("plan", "plan", head.get("id", ""), head, parts)


def _part(kind: str, values: Mapping[str, Any]) -> Part:
    inner = [_part(held, one) for held, key in KINDS[kind].holds.items() for one in values.get(key) or ()]
    title = values.get("objetivo") if kind == "objetivo" else values.get("nombre")
    return Part(kind, str(values["id"]), str(title or ""), values, inner)


def _walk(part: Part) -> Iterator[Part]:
    yield part
    for inner in part.parts:
        yield from _walk(inner)


def find(document: Document, part_id: str) -> Part:
    """Raises :class:`PlanError`."""
    for part in _walk(tree(document)):
        if part.id == part_id:
            return part
    raise PlanError(f"el borrador no tiene «{part_id}»; vuelva a la lista")


def flat(part: Part, years: Sequence[int] = ()) -> dict[str, str]:
    """What the form of a part shows."""
    return {one.key: _shown(part.values, one) for one in fields_of(part.kind, years)}


def _shown(values: Mapping[str, Any], one: Field) -> str:
    found: Any = values
    for name in one.key.split("."):
        if isinstance(found, list):
            found = found[int(name)] if int(name) < len(found) else ""
        else:
            found = found.get(name, "") if isinstance(found, Mapping) else ""
    if isinstance(found, list):
        return ("\n" if one.sort == "lines" else ", ").join(map(str, found))
    if found in (None, "null"):
        return ""
    # figures as they are written in Chile
    is_figure = one.key.startswith("meta.") or one.key == "linea_base.valor"
    return str(found).removesuffix(".0").replace(".", ",") if is_figure else str(found)


# -------------------------------------------------------------------------------------------- change


def change(document: Document, part_id: str, sent: Mapping[str, str], years: Sequence[int] = ()) -> None:
    """Put what a form sent into a part; what is empty is left out of it. Raises :class:`PlanError`."""
    part = find(document, part_id)
    values = cast("Document", part.values)  # the document's own
    for one in fields_of(part.kind, years):
        text = " ".join(sent.get(one.key, "").split(" ")).strip()
        _put(values, one, text)
    if part.kind == "indicador" and isinstance(values.get("linea_base"), dict):
        values["linea_base"].setdefault("valor", "null")


def _put(values: Document, one: Field, text: str) -> None:
    name, _, inner = one.key.partition(".")
    value: Any = text if one.sort == "lines" else " ".join(text.split())
    if one.sort == "number":
        value = value.replace(".", "").replace(" ", "").removeprefix("$")
    elif one.sort in ("lines", "words", "topics"):
        pieces = text.splitlines() if one.sort == "lines" else text.replace("\n", ",").split(",")
        value = [piece.strip() for piece in pieces if piece.strip()]
    elif name in ("meta", "linea_base"):
        value = value.replace(",", ".")
    if inner.isdigit() and name == "vigencia":
        days = [*values.get(name, []), "", ""][:2]
        days[int(inner)] = value
        values[name] = days
    elif inner:
        table = values[name] if isinstance(values.get(name), dict) else {}
        table = {key: kept for key, kept in table.items() if key != inner} | ({inner: value} if value else {})
        values[name] = table
        if not table:
            del values[name]
    elif value:
        values[name] = value
    else:
        values.pop(name, None)


def add(document: Document, parent_id: str, kind: str, part_id: str) -> None:
    """An empty part inside of another. Raises :class:`PlanError`."""
    parent = find(document, parent_id)
    if kind not in KINDS[parent.kind].holds:
        raise PlanError(f"«{parent_id}» no contiene {kind}")
    try:
        part_id = identifier(part_id.strip())
    except ValueError as error:
        raise PlanError(str(error)) from error
    if any(part.id == part_id for part in _walk(tree(document))) or part_id == "plan":
        raise PlanError(f"el código {part_id} ya está en el plan; use otro")
    holder = document if parent.kind == "plan" else parent.values
    holder.setdefault(KINDS[parent.kind].holds[kind], []).append({"id": part_id})  # type: ignore[attr-defined]


def remove(document: Document, part_id: str) -> None:
    """Take a part out with all that is in it. Raises :class:`PlanError`."""
    if part_id == "plan":
        raise PlanError("el plan entero no se quita: descarte el borrador")
    find(document, part_id)
    for holder in (document, *(part.values for part in _walk(tree(document)))):
        for key in ("objetivos", "componentes", "indicadores", "actividades"):
            parts = holder.get(key)
            if isinstance(parts, list) and any(str(one.get("id")) == part_id for one in parts):
                holder[key] = [one for one in parts if str(one.get("id")) != part_id]  # type: ignore[index]
                return
