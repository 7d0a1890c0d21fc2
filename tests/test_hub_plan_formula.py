"""The language of indicators: what it says, what it refuses and where, and what comes out."""

import contextlib
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.plan import formula
from hub.plan.checking import check, in_order, reference_problems
from hub.plan.computing import Inputs, NoData, Use, compute, percentile
from hub.plan.errors import FormulaError
from hub.plan.measures import VOCABULARY
from hub.plan.words import in_words

_COLUMNS = ("id", "sector", "tipo", "cierre", "cerrada", "acuse", "prioridad")
ROWS: list[dict[str, object]] = [
    dict(zip(_COLUMNS, values, strict=True))
    for values in (
        ("a", "COSTA", "RUR", "error", True, 10.0, 1),
        ("b", "COSTA", "RUR", "atendida", True, 30.0, 1),
        ("c", "CENTRO", "INC", None, False, None, 2),
    )
]


def figure(text: str, rows: list[dict[str, object]] = ROWS, sectors: frozenset[str] | None = None) -> object:
    checked = check(text, VOCABULARY)
    facts = {Use.of(part): rows for part in formula.aggregates(checked.node)}
    inputs = Inputs(vocabulary=VOCABULARY, facts=facts, figures={"O1-1": 4.0}, sectors=sectors)
    return compute(checked.node, inputs)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 2 * 3 - 4 / 2", 5.0),
        ("-(2 - 5)", 3.0),
        ("n(alerta)", 3.0),
        ("n(alerta, cerrada)", 2.0),
        ("n(alerta, cerrada=false)", 1.0),
        ("n(alerta, tipo=RUR, cierre in [falsa, sin_novedad, error])", 1.0),
        ("n(alerta, tipo=INC or cierre=error)", 2.0),
        ("n(alerta, cierre!=error)", 1.0),
        ("n(alerta, acuse<=10s)", 1.0),
        ("n(alerta, acuse>0.25min)", 1.0),
        ("p50(alerta.acuse)", 20.0),
        ("p90(alerta.acuse)", 28.0),
        ("mean(alerta.acuse) + sum(alerta.acuse)", 60.0),
        ("percent(n(alerta, cerrada), n(alerta, prioridad=1))", 100.0),
        ("rate(n(alerta, cerrada), n(alerta), 3000)", 2000.0),
        ("change(n(alerta), n(alerta, cerrada))", 50.0),
        ('ind("O1-1") * 2', 8.0),
    ],
)
def test_what_a_formula_gives(text: str, expected: float) -> None:
    assert figure(text) == pytest.approx(expected)


def test_a_scope_of_sectors_leaves_the_others_out() -> None:
    assert figure("n(alerta)", sectors=frozenset({"CENTRO"})) == 1.0


@pytest.mark.parametrize(
    "text",
    [
        "n(alerta) / n(alerta, tipo=EMG)",
        "percent(n(alerta), n(alerta, tipo=EMG))",
        "1 + change(n(alerta), n(alerta, tipo=EMG))",
        "p90(alerta.acuse, tipo=EMG)",
    ],
)
def test_nothing_to_divide_by_is_no_data_and_never_zero(text: str) -> None:
    result = figure(text)
    assert isinstance(result, NoData)
    assert "EMG" in result.reason


def test_no_population_at_all_is_no_data() -> None:
    result = figure("1000 / pob(sector)", rows=[])
    assert isinstance(result, NoData)
    assert "plan population" in result.reason


@pytest.mark.parametrize(
    ("text", "column", "says"),
    [
        ("n(alrta)", 1, "quizás quiso decir «alerta»"),
        ("2 * n(alerta, cerada)", 15, "quizás quiso decir «cerrada»"),
        ("n(alerta, cierre=fallsa)", 11, "quizás quiso decir «falsa»"),
        ("p90(alerta.tipo)", 1, "no es un número de alerta"),
        ("n(alerta.acuse)", 3, "n se escribe n(alerta, …)"),
        ("p90(alerta)", 5, "p90 se escribe p90(alerta.campo, …)"),
        ("n(alerta) / 0", 13, "divide siempre por cero"),
        ("n(alerta) / (3 - 3)", 16, "divide siempre por cero"),
        ("n(alerta) / (n(evento) - n(evento))", 24, "divide siempre por cero"),
        ("percent(n(alerta), 0)", 20, "divide siempre por cero"),
        ("percent(n(alerta))", 1, "percent lleva 2 valores"),
        ("rate(1, 2)", 1, "rate lleva 3 valores"),
        ("avg(alerta.acuse)", 1, "no existe la función «avg»"),
        ("n(alerta) + p90(alerta.acuse)", 11, "unidades distintas"),
        ("change(n(alerta), n(evento))", 1, "la misma unidad"),
        ("n(alerta, acuse<=10)", 11, "se compara con una duración"),
        ("n(alerta, prioridad)", 11, "necesita un valor"),
        ("n(alerta, tipo<RUR)", 11, "es una palabra"),
        ("n(alerta, ventana=2h)", 11, "ventana lleva días enteros"),
        ("n(alerta, hace=28d)", 11, "hace lleva años enteros"),
        ("pob(alerta)", 5, "por sector"),
        ("pob(sector, flotante=quizas)", 13, "true o false"),
        ("1 +", 4, "se esperaba un número"),
        ("(1 + 2", 7, "que cierra el paréntesis"),
        ("1 2", 3, "sobra «2»"),
        ("1 & 2", 3, "no se entiende «&»"),
        ("ind(O1)", 5, "entre comillas"),
        ("__import__('os')", 12, "no se entiende «'»"),
        ("eval(1)", 1, "no existe la función"),
        ("", 1, "se esperaba un número"),
        ("(" * 50 + "1" + ")" * 50, 22, "paréntesis unos dentro de otros"),
    ],
)
def test_a_mistake_is_named_with_its_column_and_a_remedy(text: str, column: int, says: str) -> None:
    with pytest.raises(FormulaError) as caught:
        check(text, VOCABULARY)
    problem = caught.value.problems[0]
    assert says in problem.text
    assert problem.column == column


def test_all_mistakes_of_names_come_at_once() -> None:
    with pytest.raises(FormulaError) as caught:
        check("n(alrta) / n(alerta, x, y=1)", VOCABULARY)
    assert len(caught.value.problems) == 3


def test_indicators_that_need_each_other_are_refused() -> None:
    trees = {
        "A": formula.parse('ind("B") + 1'),
        "B": formula.parse('2 * ind("C")'),
        "C": formula.parse('ind("A")'),
        "D": formula.parse('ind("A")'),
        "E": formula.parse('ind("Z")'),
    }
    problems = reference_problems(trees)
    assert problems.keys() == {"A", "B", "C", "E"}
    assert "A → B → C → A" in problems["A"].text
    assert "no existe el indicador «Z»" in problems["E"].text


def test_indicators_are_computed_behind_what_they_name() -> None:
    trees = {name: formula.parse(text) for name, text in {"A": 'ind("B")', "B": 'ind("C")', "C": "1"}.items()}
    assert in_order(trees) == ["C", "B", "A"]


def test_time_in_seconds_and_shares_without_unit() -> None:
    assert check("p90(alerta.acuse)", VOCABULARY).unit == "s"
    assert check("sum(camara.con_senal) / sum(camara.exigido)", VOCABULARY).unit == ""
    assert check("pob(sector, flotante=true)", VOCABULARY).unit == "habitantes"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("100 * n(alerta, cerrada) / 2", "100 por cantidad de alertas (cerrada) dividido por 2"),
        ("p90(alerta.acuse, prioridad=1)", "percentil 90 de «acuse» de alertas (prioridad 1)"),
        ("(1 + n(alerta)) * 2", "(1 más cantidad de alertas) por 2"),
        ("rate(n(evento), pob(sector), 1000)", "por cada 1000: cantidad de eventos, sobre la población"),
        (
            "n(alerta, acuse<=10min or cerrada=false, hace=1a)",
            "cantidad de alertas (acuse a lo más 10 minutos o no cerrada; hace 1 año)",
        ),
        (
            "change(n(evento), n(evento, ventana=28d))",
            "variación en %: cantidad de eventos, comparado con cantidad de eventos (en 28 días)",
        ),
    ],
)
def test_a_formula_can_be_read_aloud(text: str, words: str) -> None:
    assert in_words(formula.parse(text)) == words


# ------------------------------------------------------------------------------------- properties

_leaf = st.one_of(
    st.floats(0, 1e6).map(lambda value: formula.Number(value, 0)),
    st.sampled_from(["n(alerta, cerrada)", "p90(alerta.acuse, tipo=RUR)", 'ind("O1-1")']).map(formula.parse),
)
_trees = st.recursive(
    _leaf,
    lambda inner: st.one_of(
        st.builds(formula.Binary, st.sampled_from("+-*/"), inner, inner, st.just(0)),
        st.builds(lambda a, b: formula.Call("percent", (a, b), 0), inner, inner),
    ),
    max_leaves=6,
)


@given(_trees)
def test_the_normal_spelling_means_the_same(tree: formula.Node) -> None:
    text = formula.render(tree)
    if len(text) <= formula.MAX_CHARS:
        assert formula.render(formula.parse(text)) == text


@given(st.text(max_size=60) | st.text('n(alert,)*/+-=<>[]0123." or', max_size=40))
def test_no_text_does_more_than_be_refused(text: str) -> None:
    with contextlib.suppress(FormulaError):
        assert check(text, VOCABULARY).node is not None


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30))
def test_a_percentile_lies_between_the_extremes_and_grows(values: list[float]) -> None:
    found = [percentile(values, share) for share in (0.0, 0.5, 0.9, 1.0)]
    assert found[0] == min(values)
    assert found[-1] == max(values)
    assert all(a <= b + 1e-6 for a, b in itertools.pairwise(found))


def test_the_version_changes_with_the_meaning_only() -> None:
    one, same = formula.parse("n( alerta ) /2"), formula.parse("n(alerta)/ 2.0")
    assert formula.version(one) == formula.version(same)
    assert formula.version(one) != formula.version(formula.parse("n(alerta) / 3"))
