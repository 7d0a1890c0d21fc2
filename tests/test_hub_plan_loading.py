"""The plan as data: the example loads as it stands, mistakes are named, an export loads again."""

import importlib.resources
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.plan.checking import check
from hub.plan.difference import differences
from hub.plan.errors import PlanFileError
from hub.plan.loading import load_library, load_plan, load_topics, overlap_problem
from hub.plan.measures import VOCABULARY
from hub.plan.model import Activity, Approval, Baseline, Commune, Component, Indicator, Objective, Plan
from hub.plan.periods import last_finished, last_periods, parse_period
from hub.plan.writing import to_yaml

EXAMPLE = (importlib.resources.files("hub.plan") / "examples" / "plan-ejemplo.yaml").read_text("utf-8")
TOPICS = load_topics()


def problems(text: str) -> list[str]:
    with pytest.raises(PlanFileError) as caught:
        load_plan(text, TOPICS)
    return [str(problem) for problem in caught.value.problems]


def test_the_example_loads_as_it_stands() -> None:
    loaded = load_plan(EXAMPLE, TOPICS)
    plan = loaded.plan
    assert (plan.id, plan.update, plan.commune.population) == ("PCSP-EJEMPLO-2025-2028", 2, 28_400)
    assert (plan.starts_on, plan.ends_on) == (date(2025, 1, 1), date(2028, 12, 31))
    assert plan.approval == Approval(date(2025, 12, 18), "1234")
    assert [one.id for one in plan.indicators()] == ["O1-1", "O1-2", "O1-3", "O2-1", "O2-2", "O2-3"]
    activity = next(plan.activities())
    assert activity.co_responsible == ("Carabineros", "Autoridad Marítima", "SEREMI de Salud")
    assert activity.budget_clp == 9_600_000
    by_id = {one.id: one for one in plan.indicators()}
    assert by_id["O1-2"].targets == {2026: 6.8, 2027: 6.0}
    assert by_id["O2-2"].baseline == Baseline(None, 2026)
    assert not loaded.left_out


def test_the_library_holds_the_26_indicators() -> None:
    assert [one.id for one in load_library()] == [f"I{number:02}" for number in range(1, 27)]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("n(operativo, programado)", "n(operatibo, programado)", "quizás quiso decir «operativo»"),
        ("sentido: sube", "sentido: arriba", "«arriba» no vale; elija entre sube, baja, neutra"),
        ("2025-01-01, 2028-12-31", "2025-01-01, 2029-12-31", "4 años: a lo más hasta 2028-12-31"),
        ("2025-01-01, 2028-12-31", "2028-12-31, 2025-01-01", "invierta las fechas"),
        ("2025-01-01, 2028-12-31", "ayer, 2028-12-31", "AAAA-MM-DD"),
        ("materia_104F: [d, g]", "materia_104F: [d, z]", "no existe la materia «z»"),
        ("inicio: 2026-12-01", "inicio: 2029-12-01", "antes de empezar"),
        ("inicio: 2026-03-01", "inicio: 2024-03-01", "fuera de la vigencia"),
        ("presupuesto_clp: 9600000", "presupuesto_clp: 9.600.000", "sin puntos ni signo"),
        ("meta: {2026: 80", "meta: {2031: 80", "el año 2031 está fuera de la vigencia"),
        ("meta: {2026: 80", "meta: {2026: null", "debe ser un número"),
        ("id: O2-1", "id: O1-1", "el código ya está en la línea 9"),
        ("responsable: DSP, ", "", "falta «responsable»"),
        ('unidad: "%", sentido: sube, periodo: mes, linea', "periodo: mes, linea", "falta «unidad»"),
        ("verificacion: actas cerradas", "verificasion: actas cerradas", "no existe «verificasion» aquí"),
        ("/ n(operativo, programado)", "/ 0", "divide siempre por cero"),
        ("/ n(operativo, programado)", "/ ind(\\\"O1-1\\\")", "se usa a sí mismo"),
        ("nombre: Operativos ejecutados", 'nombre: "\\0"', "no se pueden mostrar"),
    ],
)  # fmt: skip
def test_a_mistake_has_its_line_its_field_and_a_remedy(old: str, new: str, says: str) -> None:
    assert old in EXAMPLE
    line = EXAMPLE[: EXAMPLE.index(old)].count("\n") + 1
    found = problems(EXAMPLE.replace(old, new, 1))
    assert any(f"plan.yaml:{line}:" in one and says in one for one in found), found


@pytest.mark.parametrize(
    "text", ["", "[]", "plan: 3", "plan: {}\nobjetivos: []", "a: [", "plan: &x {id: *x}"]
)
def test_no_plan_at_all_is_refused(text: str) -> None:
    assert problems(text)


def test_the_rest_loads_only_where_asked() -> None:
    text = EXAMPLE.replace("n(operativo, programado)", "n(operatibo)").replace(
        "inicio: 2026-03-01", "inicio: ayer"
    )
    assert len(problems(text)) == 2
    loaded = load_plan(text, TOPICS, is_partial=True)
    assert [one.id for one in loaded.plan.indicators()] == ["O1-2", "O1-3", "O2-1", "O2-2", "O2-3"]
    assert [one.id for one in loaded.plan.activities()] == ["O1C1A1"]
    assert len(loaded.left_out) == 2


def test_a_part_never_lacks_what_the_plan_hangs_on() -> None:
    with pytest.raises(PlanFileError):
        load_plan(EXAMPLE.replace("2025-01-01, 2028-12-31", "ayer"), TOPICS, is_partial=True)


def test_an_indicator_that_named_a_bad_one_goes_with_it() -> None:
    text = EXAMPLE.replace('formula: "100 * n(localidad,', "formula: \"ind('x') * n(localidad,").replace(
        '"100 * n(punto, reaparece<=14d) / n(punto, despejado)"', 'ind("O2-1") + 1'
    )
    loaded = load_plan(text, TOPICS, is_partial=True)
    assert {"O1-3", "O2-1"}.isdisjoint(one.id for one in loaded.plan.indicators())


def test_two_plans_never_rule_the_same_day() -> None:
    plan = load_plan(EXAMPLE, TOPICS).plan
    assert "se cruza" in overlap_problem(plan, "OTRO", date(2028, 12, 31), date(2032, 1, 1))
    assert overlap_problem(plan, "OTRO", date(2029, 1, 1), date(2032, 12, 31)) == ""
    assert overlap_problem(plan, plan.id, date(2025, 1, 1), date(2028, 12, 31)) == ""


# --------------------------------------------------------------------------------------- difference


def test_a_yearly_update_is_told_in_words() -> None:
    old = load_plan(EXAMPLE, TOPICS).plan
    text = EXAMPLE.replace("2027: 90", "2027: 95").replace("id: O2C1A1", "id: O2C1A2")
    text = text.replace("actualizacion: 2", "actualizacion: 3")
    assert differences(old, load_plan(text, TOPICS).plan) == [
        "En el plan cambia el número de actualización: de 2 a 3",
        "En el indicador O1-1 cambia la meta: de 2026 80, 2027 90 a 2026 80, 2027 95",
        "Se agrega la actividad O2C1A2: Instalar y supervisar 40 sensores y 6 grupos SMS",
        "Se elimina la actividad O2C1A1: Instalar y supervisar 40 sensores y 6 grupos SMS",
    ]
    assert differences(old, old) == []


# ------------------------------------------------------------------------------------------- export

_ids = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,8}", fullmatch=True)
_lines = st.text(st.characters(categories=("L", "N", "P", "S", "Zs")), min_size=1, max_size=30).filter(
    lambda text: text.strip() and text.isprintable()
)
_days = st.dates(date(2025, 1, 1), date(2028, 12, 31))
_words = st.lists(_lines, max_size=3).map(tuple)
_FORMULAS = ("n(alerta)", "100 * n(alerta, cerrada) / n(alerta)", "p90(alerta.acuse, prioridad=1)")


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    names = iter(draw(st.lists(_ids, unique=True, min_size=10, max_size=10)))

    def activity() -> Activity:
        first, last = sorted([draw(_days), draw(_days)])
        return Activity(
            id=next(names), name=draw(_lines), starts_on=first, ends_on=last, responsible=draw(_lines),
            co_responsible=draw(_words), budget_clp=draw(st.integers(0, 10**12)), fund=draw(_lines),
        )  # fmt: skip

    def indicator() -> Indicator:
        text = draw(st.sampled_from(_FORMULAS))
        return Indicator(
            id=next(names), name=draw(_lines), formula=text, unit=draw(_lines),
            direction=draw(st.sampled_from(["sube", "baja", "neutra"])),
            period=draw(st.sampled_from(["dia", "semana", "mes", "trimestre", "anio"])),
            verification=draw(_lines), base=draw(st.just("") | _ids), source=draw(st.just("") | _lines),
            baseline=draw(st.none() | st.builds(Baseline, st.none() | st.floats(-1e9, 1e9), st.just(2025))),
            targets=draw(st.dictionaries(st.integers(2025, 2028), st.floats(-1e9, 1e9))),
            assumption=draw(st.just("") | _lines), sectors=draw(_words), note=draw(st.just("") | _lines),
            checked=check(text, VOCABULARY),
        )  # fmt: skip

    component = Component(
        next(names), draw(_lines), tuple(activity() for _ in range(draw(st.integers(0, 2))))
    )
    objective = Objective(
        id=next(names), problem=draw(_lines), topics=("d",), goal=draw(_lines), components=(component,),
        indicators=tuple(indicator() for _ in range(draw(st.integers(0, 2)))),
    )  # fmt: skip
    return Plan(
        id=draw(_ids), commune=Commune(draw(_lines), draw(_ids), draw(st.integers(0, 10**6))),
        starts_on=date(2025, 1, 1), ends_on=date(2028, 12, 31), update=draw(st.integers(0, 9)),
        frame=draw(_words), published_on=draw(st.none() | _days),
        approval=draw(st.none() | st.builds(Approval, _days, st.just("") | _lines)), objectives=(objective,),
    )  # fmt: skip


@given(plans())
def test_what_is_exported_loads_again_as_the_same_plan(plan: Plan) -> None:
    again = load_plan(to_yaml(plan), TOPICS).plan
    assert again == plan
    assert differences(plan, again) == []


def test_the_example_survives_its_own_export() -> None:
    plan = load_plan(EXAMPLE, TOPICS).plan
    assert load_plan(to_yaml(plan), TOPICS).plan == plan
    assert load_plan(to_yaml(replace(plan, update=3)), TOPICS).plan.update == 3


# ------------------------------------------------------------------------------------------ periods


@pytest.mark.parametrize(
    ("label", "since", "until"),
    [
        ("2026-01", "2026-01-01T03:00", "2026-02-01T03:00"),
        ("2026-04", "2026-04-01T03:00", "2026-05-01T04:00"),  # winter time begins on 5 April
        ("2026-09", "2026-09-01T04:00", "2026-10-01T03:00"),  # summer time begins on 6 September
        ("2026-T3", "2026-07-01T04:00", "2026-10-01T03:00"),
        ("2026-W43", "2026-10-19T03:00", "2026-10-26T03:00"),
        ("2026", "2026-01-01T03:00", "2027-01-01T03:00"),
        ("2026-10-05", "2026-10-05T03:00", "2026-10-06T03:00"),
    ],
)
def test_periods_are_local(label: str, since: str, until: str) -> None:
    window = parse_period(label).window()
    assert window.since == datetime.fromisoformat(since).replace(tzinfo=UTC)
    assert window.until == datetime.fromisoformat(until).replace(tzinfo=UTC)


def test_the_day_that_lacks_its_midnight_has_23_hours() -> None:
    window = parse_period("2026-09-06").window()
    assert window.until - window.since == timedelta(hours=23)
    assert parse_period("2026-09-05").until == window.since


def test_a_year_back_has_the_same_local_days() -> None:
    window = parse_period("2026-W43").window(days=28, years_back=1)
    assert window.since == datetime(2025, 9, 28, 3, tzinfo=UTC)
    assert window.until == datetime(2025, 10, 26, 3, tzinfo=UTC)
    assert parse_period("2028-02-29").window(years_back=1).since == datetime(2027, 2, 28, 3, tzinfo=UTC)


def test_the_last_finished_month_is_that_of_chile() -> None:
    assert last_finished("mes", datetime(2026, 11, 1, 2, 59, tzinfo=UTC)).label == "2026-09"
    assert last_finished("mes", datetime(2026, 11, 1, 3, 0, tzinfo=UTC)).label == "2026-10"
    assert [one.label for one in last_periods(parse_period("2026-T1"), 3)] == [
        "2025-T3",
        "2025-T4",
        "2026-T1",
    ]


@pytest.mark.parametrize("label", ["2026-13", "2026-W60", "2026-02-30", "ayer", "2026-T5", ""])
def test_a_period_that_is_none_is_refused(label: str) -> None:
    with pytest.raises(ValueError, match="no es un período"):
        parse_period(label)
