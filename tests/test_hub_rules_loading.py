"""Files of rules: every mistake is named with its file, its line and what to do; conditions, times, zones."""

import re
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.notify.text import KIND_WORDS
from hub.rules.condition import compile_condition
from hub.rules.errors import ConditionError, MissingFieldError, RuleFileError
from hub.rules.forms import FORMS
from hub.rules.library import ready_files
from hub.rules.loading import live_rules, load_rules
from hub.rules.schedule import DAY_WORDS, SUMMER, Window, is_holiday, is_in_season
from hub.rules.words import duration_s, time_of_day
from hub.rules.zones import Circle, Polygon

GOOD = """rules:
  - name: gate
    title: Portón
    kind: gate_open
    priority: 3
    when: {event: gate.opened}
"""


def problems(text: str) -> list[str]:
    with pytest.raises(RuleFileError) as caught:
        load_rules({"x.yaml": text})
    return [str(problem) for problem in caught.value.problems]


def with_when(when: str, more: str = "") -> str:
    return GOOD.replace("{event: gate.opened}", when) + more


WRONG = {
    "empty": ("", 1, "vacío"),
    "no YAML": ("rules:\n  - {a: [}", 2, "no es YAML válido"),
    "no list": ("reglas: []\n", 1, "falta «rules:»"),
    "no name": (GOOD.replace("name: gate\n", "note: x\n"), 2, "falta «name»"),
    "bad name": (GOOD.replace("name: gate\n", "name: Portón 1\n"), 2, "use minúsculas"),
    "bad priority": (GOOD.replace("priority: 3", "priority: urgente"), 5, "1 (vida), 2 (en curso)"),
    "no when": (GOOD.replace("when: {event: gate.opened}", "by: device"), 2, "falta «when:»"),
    "unknown key": (GOOD + "    cuando: x\n", 7, "no existe «cuando» aquí; se puede escribir: by,"),
    "twice": (GOOD + "    kind: other_kind\n", 7, "«kind» está dos veces"),
    "two forms": (with_when("{event: a, reading: b, above: 1}"), 6, "exactamente una"),
    "no form": (with_when("{evento: a}"), 6, "exactamente una de estas formas: event, reading"),
    "same name": (GOOD + GOOD.replace("rules:\n", ""), 7, "la regla «gate» ya está en x.yaml:2"),
    "for without until": (with_when("{event: a, for: 5 min}"), 6, "van juntos"),
    "until itself": (with_when("{event: a, until: a, for: 5 min}"), 6, "no avisaría nunca"),
    "bad duration": (with_when("{event: a, until: b, for: cinco}"), 6, "no es una duración"),
    "clear beyond": (with_when("{reading: q, above: 1, clear: 2}"), 6, "nunca descansa"),
    "no side": (with_when("{reading: q}"), 6, "«above» o «below»"),
    "both sides": (with_when("{reading: q, above: 1, below: 0}"), 6, "uno de los dos"),
    "not a number": (with_when('{reading: q, above: "1,5"}'), 6, "use punto decimal"),
    "infinite": (with_when("{reading: q, above: inf}"), 6, "no es un número finito"),
    "one is no count": (with_when("{count: {event: a, at_least: 1, within: 5 min}}"), 6, "entre 2 y 1000"),
    "one link": (with_when("{sequence: [{event: a}], within: 5 min}"), 6, "al menos dos pasos"),
    "equal links": (with_when("{together: [{event: a}, {event: a}], within: 5 min}"), 6, "uno bastaría"),
    "no within": (with_when("{sequence: [{event: a}, {event: b}]}"), 6, "falta «within»"),
    "silence of a place": (with_when("{silence: {event: a, for: 1 h}}", "    by: place\n"), 7, "quite «by»"),
    "silence of nothing": (with_when("{silence: {for: 1 h}}"), 6, "de qué se espera noticia"),
    "no change": (with_when("{rate: {reading: q, rise: 0, over: 1 h}}"), 6, "mayor que cero"),
    "share": (with_when("{quorum: {reading: q, above: 1, at_least: 2, share: 60}}"), 6, "entre 0 y 1"),
    "one sensor": (with_when("{quorum: {reading: q, above: 1, at_least: 1}}"), 6, "debe ser 2 o más"),
    "no zone": (with_when("{position: {outside: {circle: [1, 2]}}}"), 6, "radio en metros"),
    "line as zone": (
        with_when("{position: {inside: {polygon: [[1, 2], [2, 3]]}}}"),
        6,
        "tres o más esquinas",
    ),
    "bad condition": (GOOD + "    if: data.x >\n", 7, "no se entiende: columna"),
    "unknown variable": (GOOD + "    if: evento.x > 1\n", 7, "usa «evento»; solo existen type, data"),
    "text against number": (GOOD + "    if: value > 'x'\n", 7, "falla: TypeError"),
    "no yes or no": (GOOD + "    if: value\n", 7, "no da verdadero o falso"),
    "near without near": (GOOD + "    if: near.humidity < 30.0\n", 7, "diga de qué con «near:"),
    "empty window": (GOOD + "    during: {from: '21:00', to: '21:00'}\n", 7, "no vale nunca"),
    "half a window": (GOOD + "    during: {from: '21:00'}\n", 7, "falta «to»"),
    "bad day": (GOOD + "    during: {days: lunes}\n", 7, "no es un día; use mon, tue"),
    "bad hour": (GOOD + "    during: {from: '25:00', to: '06:00'}\n", 7, "no es una hora"),
    "raise the same": (GOOD + "    raise: [{priority: 3, during: {days: sun}}]\n", 7, "no cambia nada"),
    "raise always": (GOOD + "    raise: [{priority: 2}]\n", 7, "ponga esa prioridad en la regla"),
    "several of one": (
        with_when("{count: {event: a, of: devices, at_least: 2, within: 5 min}}"),
        6,
        "mira uno solo: no avisa nunca",
    ),
    "a quorum of one": (
        with_when("{quorum: {reading: q, above: 1, at_least: 2}}"),
        6,
        "agregue «by: sector»",
    ),
    "deeper than the zone": (
        with_when("{position: {inside: {circle: [-34, -72, 50]}, margin_m: 80}}"),
        6,
        "nadie puede estar tan adentro",
    ),
    "silence if": (with_when("{silence: {event: a, for: 1 h}}", "    if: data.x > 1\n"), 7, "quite «if»"),
    "silence during": (
        with_when("{silence: {event: a, for: 1 h}}", "    during: {days: sun}\n"),
        7,
        "quite «during»",
    ),
    "silence raised by a message": (
        with_when("{silence: {event: a, for: 1 h}}", "    raise: [{priority: 2, if: data.x > 1}]\n"),
        7,
        "un silencio no trae mensaje",
    ),
    "constant": (GOOD + "    if: 1 > 2\n", 7, "da siempre lo mismo"),
    "an event's value": (GOOD + "    if: value > 2.0\n", 7, "sin valor; use «data»"),
    "a reading's data": (with_when("{reading: q, above: 1}", "    if: data.x > 1\n"), 7, "use «value»"),
    "near for nothing": (GOOD + "    near: {humidity: sector}\n", 7, "ninguna condición usa near"),
    "noise as a rate": (
        with_when("{rate: {reading: q, rise: 1, per: 24 h, over: 5 min}}"),
        6,
        "alargue «over»",
    ),
    "raise twice": (
        GOOD + "    raise: [{priority: 2, during: {days: sun}}, {priority: 1, during: {days: sun}}]\n",
        7,
        "otro anterior pide lo mismo",
    ),
    "no day": (
        GOOD + "    during: {holidays: only, season: {from: 02-02, to: 02-20}}\n",
        7,
        "no vale ningún día",
    ),
    "no such date": (GOOD + "    during: {season: {from: 02-30, to: 02-30}}\n", 7, "no vale ningún día"),
    "window twice": (
        GOOD + "    during: [{days: sun}, {days: sun}]\n",
        7,
        "dos ventanas del horario son iguales",
    ),
    "raise outside": (
        GOOD
        + "    during: {from: '08:00', to: '12:00'}\n"
        + "    raise: [{priority: 2, during: {from: '22:00', to: '06:00'}}]\n",
        8,
        "cae fuera del «during» de la regla",
    ),
    "raise on another day": (
        GOOD + "    during: {days: weekday}\n    raise: [{priority: 2, during: {days: weekend}}]\n",
        8,
        "cae fuera del «during» de la regla",
    ),
    "raise never": (
        GOOD + "    raise:\n      - {priority: 2}\n      - {priority: 1, during: {days: sun}}\n",
        9,
        "no se alcanza nunca",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_is_named_with_its_line_and_what_to_do(name: str) -> None:
    text, line, words = WRONG[name]
    found = problems(text)
    assert any(p.startswith(f"x.yaml:{line}: ") and words in p for p in found), found


SENSIBLE = {
    "the morning of a night": (
        "    during: {days: fri, from: '22:00', to: '06:00'}\n"
        "    raise: [{priority: 2, during: {days: sat, from: '00:00', to: '03:00'}}]\n"
    ),
    "a holiday in the week": "    during: {days: wed, holidays: only}\n",
    "a leap day": "    during: {season: {from: 02-29, to: 02-29}, days: mon}\n",
}


@pytest.mark.parametrize("name", SENSIBLE)
def test_what_happens_rarely_is_no_mistake(name: str) -> None:
    assert load_rules({"x.yaml": GOOD + SENSIBLE[name]})


def test_all_mistakes_are_told_at_once() -> None:
    text = GOOD.replace("priority: 3", "priority: 9").replace("Portón", "") + "    cuando: x\n"
    assert len(problems(text)) == 3


def test_what_is_turned_off_must_be_there() -> None:
    with pytest.raises(RuleFileError, match=r"own\.yaml:1: «off: nadie»: no hay otra regla"):
        live_rules({"x.yaml": GOOD}, {"own.yaml": "off: [nadie]\n"})
    assert live_rules({"x.yaml": GOOD}, {"own.yaml": "off: [gate]\n"}) == []


def test_an_example_that_does_not_come_out_is_refused() -> None:
    example = """    examples:
      - {name: dos, start: 2026-11-24 12:00, signals: [{event: gate.opened}], alerts: 2}
"""
    with pytest.raises(RuleFileError, match="ejemplo «dos»: se esperaban 2 avisos y hubo 1"):
        live_rules({}, {"own.yaml": GOOD + example})


@pytest.mark.parametrize(
    "text", ["&a [*a]", "- " * 5000, "[" * 20_000, "\x00", "{a: !!python/object:os.system x}"]
)
def test_hostile_yaml_is_refused(text: str) -> None:
    assert problems(text)


def test_a_version_changes_with_the_content_alone() -> None:
    def version(text: str) -> str:
        return load_rules({"x.yaml": text})[0].version

    assert version(GOOD) == version("# otro\n" + GOOD.replace("priority: 3", "priority:   3"))
    assert version(GOOD) == version(GOOD + "    note: explicación\n")
    assert version(GOOD) != version(GOOD.replace("priority: 3", "priority: 2"))


@given(st.text(max_size=200))
def test_no_text_at_all_crashes_the_loader(text: str) -> None:
    with pytest.raises(RuleFileError):
        load_rules({"x.yaml": text})


@given(st.text(max_size=60))
def test_no_condition_crashes_the_compiler(text: str) -> None:
    try:
        condition = compile_condition(text)
        condition.holds({name: {} for name in condition.variables})
    except ConditionError:
        pass


def test_a_missing_field_is_told_apart_from_a_mistake() -> None:
    condition = compile_condition("data.held_s >= 2")
    assert condition.holds({"data": {"held_s": 2.5}})
    with pytest.raises(MissingFieldError):
        condition.holds({"data": {}})
    with pytest.raises(ConditionError):
        condition.holds({"data": {"held_s": "long"}})


# ------------------------------------------------------------------------------------- words, times


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90 s", 90), ("10 min", 600), ("6h", 21_600), ("1 h 30 min", 5400), ("2d", 172_800)],
)
def test_durations(text: str, expected: float) -> None:
    assert duration_s(text) == expected


@pytest.mark.parametrize("text", ["", "10", "min", "-5 s", "0 s", "5 m", "1 h x", "1e9 d"])
def test_no_durations(text: str) -> None:
    with pytest.raises(ValueError, match=r"por ejemplo|debe ser más que cero"):
        duration_s(text)


def local(text: str) -> datetime:
    """A UTC instant from a local time of Chile in summer (UTC-3)."""
    return datetime.fromisoformat(f"{text}:00-03:00").astimezone(UTC)


NIGHT = (time_of_day("22:00"), time_of_day("06:00"))
WEEKEND = DAY_WORDS["weekend"]


@pytest.mark.parametrize(
    ("window", "instant", "expected"),
    [
        (Window(hours=NIGHT), "2026-11-24T23:00", True),
        (Window(hours=NIGHT), "2026-11-24T06:00", False),
        # Saturday's night lasts into Sunday morning, Friday's into Saturday's
        (Window(hours=NIGHT, days=frozenset({5})), "2026-11-29T03:00", True),
        (Window(hours=NIGHT, days=frozenset({5})), "2026-11-28T03:00", False),
        (Window(days=WEEKEND), "2026-11-28T12:00", True),
        (Window(days=WEEKEND), "2026-11-27T12:00", False),
        (Window(holidays="only"), "2026-12-25T12:00", True),
        (Window(holidays="except"), "2026-12-25T12:00", False),
        (Window(holidays="only"), "2026-12-24T12:00", False),
        (Window(season=SUMMER), "2027-01-20T12:00", True),
        (Window(season=SUMMER), "2026-11-20T12:00", False),
        (Window(hours=NIGHT, holidays="only"), "2026-12-26T02:00", True),  # Christmas night
    ],
)
def test_windows(window: Window, instant: str, expected: bool) -> None:
    assert window.holds(local(instant)) is expected


def test_holidays_of_chile_move_as_its_laws_say() -> None:
    assert is_holiday(date(2026, 9, 18))
    assert is_holiday(date(2027, 9, 17))  # a Friday before the 18th
    assert not is_holiday(date(2026, 9, 17))


@given(st.dates(date(2020, 1, 1), date(2030, 12, 31)))
def test_a_day_is_in_a_season_or_in_the_rest_of_the_year(day: date) -> None:
    assert is_in_season(((12, 15), (3, 15)), day) != is_in_season(((3, 16), (12, 14)), day)


# ------------------------------------------------------------------------------------------- zones


SQUARE = Polygon(((-34.40, -72.00), (-34.40, -71.98), (-34.42, -71.98), (-34.42, -72.00)))


@pytest.mark.parametrize(
    ("position", "metres"),
    [((-34.41, -71.99), -918), ((-34.39, -71.99), 1113), ((-34.40, -71.99), 0), ((-34.41, -72.01), 918)],
)
def test_distance_from_a_polygon(position: tuple[float, float], metres: float) -> None:
    assert SQUARE.distance_m(*position) == pytest.approx(metres, abs=8)


@given(st.floats(-60, -18), st.floats(-75, -67), st.floats(10, 5000))
def test_a_circle_measures_from_its_edge(latitude: float, longitude: float, radius_m: float) -> None:
    circle = Circle(latitude, longitude, radius_m)
    assert circle.distance_m(latitude, longitude) == pytest.approx(-radius_m)
    assert circle.distance_m(latitude + 0.1, longitude) == pytest.approx(11_132 - radius_m, rel=0.01, abs=5)


# ----------------------------------------------------------------------------------------- the guide


def test_the_guide_holds_what_it_says() -> None:
    guide = (Path(__file__).parent.parent / "docs" / "reglas.md").read_text("utf-8")
    blocks = re.findall(r"```yaml\n(.*?)```", guide, re.DOTALL)
    assert len(live_rules({}, {"guide.yaml": blocks[0]})) == 1
    assert all(live_rules(ready_files(), {"guide.yaml": block}) for block in blocks[1:])
    forms = re.findall(r"^\| [^|]+ \| `(\{.*\})` \|", guide, re.MULTILINE)
    assert len(forms) >= len(FORMS)
    for form in forms:
        is_several = "of: devices" in form or "quorum" in form
        assert load_rules({"guide.yaml": with_when(form, "    by: sector\n" if is_several else "")})


def test_every_ready_rules_kind_has_its_word_in_spanish() -> None:
    kinds = {rule.kind for rule in load_rules(ready_files())} - {"duress"}
    assert kinds <= KIND_WORDS.keys()
