"""A plan as YAML that loads again as the same plan. Pure."""

from typing import Any

import yaml

from hub.plan.model import Activity, Component, Indicator, Objective, Plan


def to_yaml(plan: Plan) -> str:
    text: str = yaml.safe_dump(
        as_document(plan), allow_unicode=True, sort_keys=False, width=110, default_flow_style=None
    )
    return text


def as_document(plan: Plan) -> dict[str, Any]:
    """The plan in the words of its file; dates as text. Also what queries over activities read."""
    return {"plan": _head(plan), "objetivos": [_objective(one) for one in plan.objectives]}


def _filled(values: dict[str, Any]) -> dict[str, Any]:
    """Without what is empty: an absent key means just that."""
    return {key: value for key, value in values.items() if value not in (None, "", [], {})}


def _head(plan: Plan) -> dict[str, Any]:
    commune = {"nombre": plan.commune.name, "cut": plan.commune.cut, "poblacion": plan.commune.population}
    approval = plan.approval and _filled(
        {"concejo": str(plan.approval.council_on), "decreto": plan.approval.decree}
    )
    return _filled(
        {
            "id": plan.id,
            "comuna": commune,
            "vigencia": [str(plan.starts_on), str(plan.ends_on)],
            "actualizacion": plan.update,
            "marco": list(plan.frame),
            "aprobado": approval,
            "publicado_web": str(plan.published_on) if plan.published_on else None,
        }
    )


def _objective(objective: Objective) -> dict[str, Any]:
    return _filled(
        {
            "id": objective.id,
            "problema": objective.problem,
            "materia_104F": list(objective.topics),
            "objetivo": objective.goal,
            "componentes": [_component(one) for one in objective.components],
            "indicadores": [_indicator(one) for one in objective.indicators],
        }
    )


def _component(component: Component) -> dict[str, Any]:
    activities = [_activity(one) for one in component.activities]
    return _filled({"id": component.id, "nombre": component.name, "actividades": activities})


def _activity(activity: Activity) -> dict[str, Any]:
    return _filled(
        {
            "id": activity.id,
            "nombre": activity.name,
            "inicio": str(activity.starts_on),
            "fin": str(activity.ends_on),
            "responsable": activity.responsible,
            "corresponsables": list(activity.co_responsible),
            "presupuesto_clp": activity.budget_clp,
            "fuente": activity.fund,
        }
    )


def _indicator(indicator: Indicator) -> dict[str, Any]:
    baseline = indicator.baseline and {"valor": indicator.baseline.value, "anio": indicator.baseline.year}
    return _filled(
        {
            "id": indicator.id,
            "base": indicator.base,
            "nombre": indicator.name,
            "formula": indicator.formula,
            "unidad": indicator.unit,
            "sentido": indicator.direction,
            "periodo": indicator.period,
            "sectores": list(indicator.sectors),
            "linea_base": baseline,
            "meta": dict(indicator.targets),
            "verificacion": indicator.verification,
            "fuente": indicator.source,
            "supuesto": indicator.assumption,
            "nota": indicator.note,
        }
    )
