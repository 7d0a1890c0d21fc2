"""Rules from YAML text: one schema, every mistake named with its line. Reading files is the caller's."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import msgspec
import yaml

from hub.alerts.finding import Confirm
from hub.nodes import Problem, Report, Table, choice, parse, plain
from hub.rules import words
from hub.rules.condition import Condition, compile_condition
from hub.rules.confirming import Answer
from hub.rules.errors import ConditionError, RuleFileError
from hub.rules.forms import operator_of
from hub.rules.model import By, Example, ExampleSignal, Near, Raise, Rule
from hub.rules.operators.absence import Absence
from hub.rules.replay import run_examples
from hub.rules.schedule import DAY_WORDS, SANTIAGO, SUMMER, Schedule, Window
from hub.rules.sense import nonsense

WATERMARK_S = 600.0
WATERMARK_LIFE_S = 86_400.0
"""A call for help is answered a day later too; it says in its text that it is old."""
MAX_PER_HOUR = 200
MAX_QUESTION_S = 86_400.0
_NAME = re.compile(r"[a-z][a-z0-9_]{1,62}")


@dataclass(frozen=True, slots=True)
class Loaded:
    """The rules of some files, and the names of rules that these files turn off."""

    rules: list[Rule] = field(default_factory=list)
    off: dict[str, Problem] = field(default_factory=dict)
    """Name → where it is turned off, as the problem that it would be if nobody had such a rule."""


def load_rules(files: Mapping[str, str]) -> list[Rule]:
    """Rules of several files (name → text). Raises :class:`RuleFileError` with every mistake of all files."""
    return load_files(files).rules


def load_files(files: Mapping[str, str]) -> Loaded:
    """The same, with what the files turn off."""
    loaded = Loaded()
    problems: list[Problem] = []
    for file, text in files.items():
        report = Report(file)
        _file_rules(text, report, loaded)
        problems += report.problems
    problems += _doubles(loaded.rules)
    if problems:
        raise RuleFileError(problems)
    return loaded


def live_rules(ready: Mapping[str, str], own: Mapping[str, str]) -> list[Rule]:
    """What is live: the ready rules, and a municipality's own, which replace ready ones of their name.

    Raises :class:`RuleFileError`; also where an example does not come out as it says.
    """
    base, ours = load_files(ready), load_files(own)
    rules = {rule.name: rule for rule in (*base.rules, *ours.rules)}
    own_names = {rule.name for rule in ours.rules}
    problems = [problem for name, problem in ours.off.items() if name not in rules]
    problems += [p for name, p in ours.off.items() if name in own_names]
    problems += example_problems(ours.rules)
    if problems:
        raise RuleFileError(problems)
    off = (base.off.keys() - own_names) | ours.off.keys()
    return [rule for name, rule in rules.items() if name not in off]


def example_problems(rules: Iterable[Rule]) -> list[Problem]:
    """The examples that do not come out as they say."""
    return [
        Problem(rule.file, rule.line, f"regla {rule.name}, ejemplo «{outcome.example}»: {outcome.problem}")
        for rule in rules
        for outcome in run_examples([rule])
        if outcome.problem
    ]


def _doubles(rules: Iterable[Rule]) -> list[Problem]:
    seen: dict[str, Rule] = {}
    problems = []
    for rule in rules:
        first = seen.setdefault(rule.name, rule)
        if first is not rule:
            where = f"{first.file}:{first.line}"
            problems.append(Problem(rule.file, rule.line, f"la regla «{rule.name}» ya está en {where}"))
    return problems


def _file_rules(text: str, report: Report, into: Loaded) -> None:
    root = parse(text, report, "escriba «rules:» y una lista de reglas")
    if root is None:
        return
    top = Table(root, report, "archivo")
    if "rules" not in top and "off" not in top:
        top.problem("falta «rules:» con la lista de reglas")
    into.rules.extend(rule for table in top.tables("rules") if (rule := _rule(table, report)) is not None)
    for name in top.words("off"):
        line = top.node_of("off").start_mark.line + 1
        text = f"«off: {name}»: no hay otra regla con ese nombre que se pueda apagar; revise el nombre"
        into.off[name] = Problem(report.file, line, text)
    top.finish()


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError(f"«{text}» no vale; use minúsculas, números y _, por ejemplo porton_abierto")
    return text


def _priority(text: str) -> int:
    if text not in ("1", "2", "3", "4"):
        raise ValueError(f"«{text}» debe ser 1 (vida), 2 (en curso), 3 (bienes) o 4 (mantención)")
    return int(text)


def _title(text: str) -> str:
    if not 1 <= len(text) <= 60:
        raise ValueError("debe tener entre 1 y 60 caracteres: es lo que lee la central")
    return text


def _rule(table: Table, report: Report) -> Rule | None:
    before = len(report.problems)
    name = table.need("name", _name, "sin_nombre")
    table.what = f"regla {name}"
    priority = table.need("priority", _priority, 3)
    watermark_s = table.get(
        "late_after", words.duration_s, WATERMARK_LIFE_S if priority == 1 else WATERMARK_S
    )
    when = table.table("when")
    if when is None:
        table.problem("falta «when:» con lo que la regla observa")
        return None
    form, operator = operator_of(when, watermark_s)
    by = By(table.get("by", choice(*By), By.DEVICE.value))
    near = tuple(_near(table))
    conditions = _Conditions(table)
    draft: dict[str, Any] = {
        "name": name,
        "title": table.need("title", _title, ""),
        "kind": table.need("kind", _name, ""),
        "priority": priority,
        "version": _version(table.node),
        "operator_name": form,
        "by": by,
        "kinds": frozenset(table.words("device_kind")),
        "sectors": frozenset(table.words("sector")),
        "places": frozenset(table.words("place")),
        "near": near,
        "condition": conditions.of(table, "if"),
        "during": _schedule(table),
        "raises": tuple(_raises(table, conditions, priority)),
        "confirm": _confirm(table, priority),
        "watermark_s": watermark_s,
        "max_per_hour": table.get("max_per_hour", words.count, MAX_PER_HOUR),
        "file": report.file,
        "line": table.node.start_mark.line + 1,
        "source": _source(table.node),
        "examples": tuple(_examples(table)),
    }
    table.take("note")
    table.finish()
    if isinstance(operator, Absence) and by is not By.DEVICE:
        table.problem("«silence» mira cada dispositivo por sí solo; quite «by»", "by")
    if operator is None or len(report.problems) > before:
        return None
    rule = Rule(operator=operator, **draft)
    for key, text in nonsense(rule):
        table.problem(text, key)
    return rule if len(report.problems) == before else None


class _Conditions:
    """Compiles conditions, and knows which values near a device they may name."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def of(self, table: Table, name: str) -> Condition | None:
        text = table.get(name, str, "")
        if not text:
            return None
        try:
            condition = compile_condition(text)
        except ConditionError as error:
            table.problem(f"«{name}»: {error}", name)
            return None
        if "near" in condition.variables and "near" not in self._table:
            table.problem("la condición usa near; diga de qué con «near: {humidity: sector}»", name)
        return condition


def _near(table: Table) -> Iterable[Near]:
    inner = table.table("near")
    if inner is None:
        return
    for quantity in sorted(plain(inner.node) if isinstance(inner.node, yaml.MappingNode) else {}):
        yield Near(quantity, inner.get(quantity, choice("place", "sector"), "sector"))
    inner.finish()


def _raises(table: Table, conditions: _Conditions, base: int) -> Iterable[Raise]:
    is_covered = False
    for inner in table.tables("raise"):
        priority = inner.need("priority", _priority, base)
        found = Raise(priority, conditions.of(inner, "if"), _schedule(inner))
        inner.finish()
        if priority == base:
            inner.problem("la prioridad es la misma de la regla: no cambia nada; bórrelo")
        if is_covered:
            inner.problem("no se alcanza nunca: el anterior vale siempre; cambie el orden")
        is_covered = is_covered or (found.condition is None and found.during is None)
        if found.condition is None and found.during is None:
            inner.problem("vale siempre: ponga esa prioridad en la regla, o agregue «if» o «during»")
        yield found


ANSWERS = ("coming", "nothing_found", "help")


def _confirm(table: Table, base: int) -> Confirm | None:
    inner = table.table("confirm")
    if inner is None:
        return None
    found = Confirm(
        at_least=inner.need("at_least", words.count, 1),
        within_s=inner.need("within", words.duration_s, 60.0),
        priority=inner.need("priority", _priority, 1),
        answers=frozenset(inner.words("answers")) or frozenset({"help"}),
    )
    inner.finish()
    if found.priority >= base:
        inner.problem("confirmar debe dar más urgencia que la prioridad de la regla: si no, no cambia nada")
    for word in sorted(found.answers - {"coming", "help"}):
        inner.problem(f"«{word}» no confirma nada; use help (ayuda) o coming (voy)", "answers")
    if found.within_s > MAX_QUESTION_S:
        inner.problem("nadie espera una respuesta más de un día; acorte «within»", "within")
    return found


# -------------------------------------------------------------------------------------- schedules


def _schedule(table: Table) -> Schedule | None:
    windows = tuple(_window(inner) for inner in table.tables("during"))
    return Schedule(windows) if windows else None


def _window(table: Table) -> Window:
    hours = None
    if "from" in table or "to" in table:
        midnight = words.time_of_day("00:00")
        hours = (
            table.need("from", words.time_of_day, midnight),
            table.need("to", words.time_of_day, midnight),
        )
        if hours[0] == hours[1]:
            table.problem(
                "empieza y termina a la misma hora: no vale nunca; para todo el día quite las horas"
            )
    window = Window(
        hours=hours,
        days=_days(table),
        holidays=table.get("holidays", choice("only", "except", "any"), "any"),
        season=_season(table),
    )
    table.finish()
    return window


def _days(table: Table) -> frozenset[int]:
    days: set[int] = set()
    for word in table.words("days"):
        if word not in DAY_WORDS:
            table.problem(f"«{word}» no es un día; use {', '.join(DAY_WORDS)}", "days")
        days |= DAY_WORDS.get(word, frozenset())
    return frozenset(days) if days else frozenset(range(7))


def _season(table: Table) -> tuple[tuple[int, int], tuple[int, int]] | None:
    if isinstance(table.node_of("season"), yaml.MappingNode) and "season" in table:
        inner = table.table("season")
        assert inner is not None  # noqa: S101 - it is there
        season = (
            inner.need("from", words.month_and_day, SUMMER[0]),
            inner.need("to", words.month_and_day, SUMMER[1]),
        )
        inner.finish()
        return season
    return SUMMER if table.get("season", choice("summer"), "") else None


# --------------------------------------------------------------------------------------- examples


def _examples(table: Table) -> Iterable[Example]:
    for inner in table.tables("examples"):
        start = inner.need("start", _local, datetime(2026, 1, 1, 12, tzinfo=SANTIAGO))
        yield Example(
            name=inner.need("name", str, ""),
            start=start,
            signals=tuple(_signal(part) for part in inner.tables("signals")),
            alerts=inner.need("alerts", _natural, 0),
            priority=inner.get("priority", _optional_priority, None),
            until_s=inner.get("until", words.duration_s, 0.0),
            kind=inner.get("device_kind", str, ""),
            near={k: float(v) for k, v in (plain(inner.take("near")) or {}).items()},
            answers=tuple(_answer(part, start) for part in inner.tables("answers")),
        )
        inner.finish()


def _answer(table: Table, start: datetime) -> Answer:
    found = Answer(
        at=start + timedelta(seconds=table.get("at", _offset, 0.0)),
        person=table.need("person", str, ""),
        answer=table.need("answer", choice(*ANSWERS), "help"),
    )
    table.finish()
    return found


def _optional_priority(text: str) -> int | None:
    return _priority(text)


def _natural(text: str) -> int:
    return 0 if text == "0" else words.count(text)


def _local(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m-%d %H:%M").replace(tzinfo=SANTIAGO)
    except ValueError:
        raise ValueError(f"«{text}» no es fecha y hora local; escriba 2026-11-24 21:00") from None


def _offset(text: str) -> float:
    return 0.0 if text == "0" else words.duration_s(text)


def _signal(table: Table) -> ExampleSignal:
    is_event = "event" in table
    data = plain(table.take("data"))
    found = ExampleSignal(
        at_s=table.get("at", _offset, 0.0),
        name=table.get("event", str, "") if is_event else table.need("reading", str, ""),
        is_event=is_event,
        value=None if is_event else table.need("value", words.number, 0.0),
        data=data if isinstance(data, dict) else {},
        device=table.get("device", str, "A"),
        late_s=table.get("late", words.duration_s, 0.0),
    )
    table.finish()
    return found


# --------------------------------------------------------------------------------------- versions


def _source(node: yaml.Node) -> str:
    return str(yaml.serialize(node, allow_unicode=True))


def _version(node: yaml.Node) -> str:
    """Twelve digits that change with the rule's content, not with its layout, comments or examples."""
    content = plain(node) if isinstance(node, yaml.MappingNode) else {}
    content.pop("examples", None)
    content.pop("note", None)
    return hashlib.sha256(msgspec.json.encode(content, order="deterministic")).hexdigest()[:12]
