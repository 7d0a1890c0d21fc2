"""Escalation policies from a YAML file; every error names its line and says what to do."""

import importlib.resources
import logging
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

from hub.alerts.model import RESTRICTED_KINDS
from hub.clock import Clock
from hub.database import Pool
from hub.notify.escalation import (
    DUTY_TARGET,
    NAMED,
    Policies,
    Policy,
    PolicyStep,
    Target,
    Who,
    schedule,
    targets_of,
)
from hub.notify.text import elapsed_text
from hub.watching import stamp_of

log = logging.getLogger(__name__)

MAX_FILE_CHARS = 256 * 1024
MAX_SECONDS = 30 * 86_400
MAX_STEPS = 50
MAX_REPEAT = 20
_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}\Z")
_CALENDAR = _NAME
_WORD = re.compile(r"[a-z][a-z0-9_.-]{0,63}\Z")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class PolicyProblem:
    """``line`` counts from 1; both texts are Spanish, for the file's author."""

    line: int
    problem: str
    remedy: str


class PolicyFileError(Exception):
    """The file gives no set of policies. ``problems`` are all that was found, in order of their lines."""

    def __init__(self, name: str, problems: list[PolicyProblem]) -> None:
        self.name, self.problems = name, sorted(problems, key=lambda p: p.line)
        super().__init__("\n".join(f"{name}:{p.line}: {p.problem}. {p.remedy}" for p in self.problems))


class _WrongError(Exception):
    def __init__(self, node: yaml.Node, problem: str, remedy: str) -> None:
        super().__init__(problem)
        self.found = PolicyProblem(node.start_mark.line + 1, problem, remedy)


def default_text() -> str:
    """The policies that come with the hub."""
    return (importlib.resources.files(__package__) / "policies" / "default.yaml").read_text("utf-8")


def load(path: Path | None) -> Policies:
    """The policies of ``path``, or those that come with the hub; raises :class:`PolicyFileError`."""
    if path is None:
        return parse(default_text(), "default.yaml")
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError:
        raise PolicyFileError(path.name, [PolicyProblem(1, "no es texto UTF-8", "Guárdelo así.")]) from None
    return parse(text, path.name)


def render(policies: Policies) -> str:
    """What the policies do, in Spanish, one firing a line."""
    lines: list[str] = []
    for policy in policies.policies:
        kinds = f", solo {', '.join(sorted(policy.kinds))}" if policy.kinds else ""
        priorities = ", ".join(f"P{n}" for n in sorted(policy.priorities))
        lines.append(f"{policy.name} ({priorities}{kinds})")
        for at_s, step in schedule(policy):
            lines.append(f"  {elapsed_text(at_s):>7}  {', '.join(map(str, step.who))}")
        if policy.remind_every_s:
            every = elapsed_text(policy.remind_every_s)
            lines.append(f"  después, cada {every}: {', '.join(map(str, policy.remind))}")
    lines.append(f"Correcto: {len(policies.policies)} políticas.")
    return "\n".join(lines)


_UNKNOWN = {
    Who.ON_CALL: "el calendario «{}» no tiene turnos; impórtelos: almenara-hub oncall import",
    Who.GROUP: "el grupo «{}» no tiene contactos; impórtelos: almenara-hub contacts import",
}


async def unknown_targets(pool: Pool, policies: Policies) -> list[str]:
    """Whom the policies name and nobody has entered yet; each with what to do (Spanish)."""
    known = {
        Who.ON_CALL: "select distinct calendar from oncall_turns",
        Who.GROUP: "select distinct watch_group from contacts where active",
    }
    named = sorted(targets_of(policies.policies), key=str)
    problems = []
    for who, sql in known.items():
        names = {row[0] for row in await pool.fetch(sql)}
        missing = [t.name for t in named if t.who is who and t.name not in names]
        problems += [_UNKNOWN[who].replace("{}", name) for name in missing]
    return problems


class PolicyBook:
    """The policies in force: those of ``path`` where that file is, else those that come with the hub.

    A change of the file counts at the next look; a wrong one is logged, and the set before it stays.
    Raises :class:`PolicyFileError` only at the start.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = stamp_of(path)
        self._current = load(path if self._stamp else None)

    def __call__(self) -> Policies:
        return self._current

    def refresh(self) -> None:
        stamp = stamp_of(self._path)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._current = load(self._path if stamp else None)
        except (PolicyFileError, OSError) as error:
            log.error("the escalation policies stay as they were: %s", error)  # noqa: TRY400 - it says it all
        else:
            log.info("%d escalation policies in force", len(self._current.policies))


WATCH_S = 5.0


async def policy_watch_loop(book: PolicyBook, clock: Clock) -> None:
    """Take up a changed file, for ever."""
    while True:
        await clock.sleep(WATCH_S)
        book.refresh()


def parse(text: str, name: str = "policies.yaml") -> Policies:
    """Raises :class:`PolicyFileError` naming every problem with its line."""
    if len(text) > MAX_FILE_CHARS:
        raise PolicyFileError(name, [PolicyProblem(1, "supera los 256 kB", "Deje solo las políticas.")])
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if root is None:
            raise PolicyFileError(name, [PolicyProblem(1, "está vacío", "Escriba policies: y una lista.")])
        _refuse_aliases(root, set())
        nodes = _items(_fields(root, _TOP)["policies"])
    except yaml.YAMLError as error:
        raise PolicyFileError(name, [_yaml_problem(error)]) from None
    except RecursionError:
        raise PolicyFileError(name, [PolicyProblem(1, "está anidado sin fin", "Simplifíquelo.")]) from None
    except _WrongError as error:
        raise PolicyFileError(name, [error.found]) from None
    return _policies(nodes, name)


def _policies(nodes: list[yaml.Node], name: str) -> Policies:
    policies: list[Policy] = []
    problems: list[PolicyProblem] = []
    for node in nodes:
        try:
            policy = _policy(node)
            _check_against(node, policy, policies)
            policies.append(policy)
        except _WrongError as error:
            problems.append(error.found)
    if problems:
        raise PolicyFileError(name, problems)
    return Policies(tuple(policies))


# ------------------------------------------------------------------------------------- structure

Field = Callable[[yaml.Node], Any]


def _yaml_problem(error: yaml.YAMLError) -> PolicyProblem:
    mark = getattr(error, "problem_mark", None)
    what = getattr(error, "problem", None) or "no es YAML"
    return PolicyProblem(
        1 if mark is None else mark.line + 1, f"no es YAML ({what})", "Revise sangría, comillas y corchetes."
    )


def _refuse_aliases(node: yaml.Node, seen: set[int]) -> None:
    """An alias is the same node again; a few of them can make a file of a kilobyte endless."""
    if id(node) in seen:
        raise _WrongError(node, "usa un ancla de YAML (&, *)", "Escriba el contenido de nuevo.")
    seen.add(id(node))
    for child in _children(node):
        _refuse_aliases(child, seen)


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield key
            yield value
    elif isinstance(node, yaml.SequenceNode):
        yield from node.value


def _fields(node: yaml.Node, known: dict[str, bool]) -> dict[str, yaml.Node]:
    """The mapping's fields by name; ``known`` tells which there are and which must be given."""
    if not isinstance(node, yaml.MappingNode):
        raise _WrongError(node, "aquí van campos (nombre: valor)", f"Se conocen: {', '.join(known)}.")
    found: dict[str, yaml.Node] = {}
    for key, value in node.value:
        name = str(key.value)
        if name not in known:
            raise _WrongError(
                key, f"no existe el campo «{name[:40]}»", f"Revise el nombre; se conocen: {', '.join(known)}."
            )
        if name in found:
            raise _WrongError(key, f"el campo «{name}» está dos veces", "Deje uno.")
        found[name] = value
    for name, is_required in known.items():
        if is_required and name not in found:
            raise _WrongError(node, f"falta el campo «{name}»", "Agréguelo.")
    return found


def _items(node: yaml.Node) -> list[yaml.Node]:
    if not isinstance(node, yaml.SequenceNode):
        raise _WrongError(node, "aquí va una lista", "Escríbala con guiones o entre corchetes.")
    return list(node.value)


def _text(node: yaml.Node, pattern: re.Pattern[str], example: str) -> str:
    if not isinstance(node, yaml.ScalarNode) or not pattern.match(node.value):
        raise _WrongError(node, "el nombre no sirve", f"Use minúsculas, cifras y _, por ejemplo {example}.")
    return str(node.value)


def _number(node: yaml.Node, least: int, most: int) -> int:
    text = node.value if isinstance(node, yaml.ScalarNode) else ""
    if not re.fullmatch(r"[0-9]{1,9}", text) or not least <= int(text) <= most:
        raise _WrongError(
            node, "aquí va un número entero" + (f" («{text[:20]}»)" if text else ""), f"De {least} a {most}."
        )
    return int(text)


def _flag(node: yaml.Node) -> bool:
    if not isinstance(node, yaml.ScalarNode) or node.value not in ("true", "false"):
        raise _WrongError(node, "aquí va true o false", "Escriba uno de los dos.")
    return bool(node.value == "true")


def _get(fields: dict[str, yaml.Node], name: str, read: Callable[[yaml.Node], _T], default: _T) -> _T:
    return read(fields[name]) if name in fields else default


# -------------------------------------------------------------------------------------- policies

_TOP = {"policies": True}
_POLICY = {
    "name": True,
    "priorities": True,
    "kinds": False,
    "drills": False,
    "acknowledge_within_s": False,
    "dispatch_within_s": False,
    "remind_every_s": False,
    "steps": False,
    "remind": False,
    "remind_how": False,
}
_STEP = {
    "wait_s": True,
    "who": True,
    "how": False,
    "otherwise": False,
    "repeat": False,
    "until_confirmed": False,
}


def _seconds(node: yaml.Node) -> int | None:
    return _number(node, 1, MAX_SECONDS)


def _policy(node: yaml.Node) -> Policy:
    fields = _fields(node, _POLICY)
    steps = _items(fields["steps"]) if "steps" in fields else []
    if len(steps) > MAX_STEPS:
        raise _WrongError(fields["steps"], f"tiene {len(steps)} pasos", f"Deje {MAX_STEPS} o menos.")
    priorities = _items(fields["priorities"])
    policy = Policy(
        name=_text(fields["name"], _NAME, "vida"),
        priorities=frozenset(_number(n, 1, 4) for n in priorities),
        kinds=_get(
            fields, "kinds", lambda n: frozenset(_text(k, _WORD, "panic") for k in _items(n)), frozenset()
        ),
        drills=_get(fields, "drills", _flag, False),
        acknowledge_within_s=_get(fields, "acknowledge_within_s", _seconds, None),
        dispatch_within_s=_get(fields, "dispatch_within_s", _seconds, None),
        remind_every_s=_get(fields, "remind_every_s", lambda n: _number(n, 30, MAX_SECONDS), None),
        steps=tuple(_step(n) for n in steps),
        remind=_get(fields, "remind", _targets, (DUTY_TARGET,)),
        remind_how=_get(fields, "remind_how", _ways, ("sms",)),
    )
    _check(node, fields, policy)
    return policy


def _step(node: yaml.Node) -> PolicyStep:
    fields = _fields(node, _STEP)
    step = PolicyStep(
        wait_s=_number(fields["wait_s"], 1, MAX_SECONDS),
        who=_targets(fields["who"]),
        how=_get(fields, "how", _ways, ("sms",)),
        otherwise=_get(fields, "otherwise", _targets, (DUTY_TARGET,)),
        repeat=_get(fields, "repeat", lambda n: _number(n, 0, MAX_REPEAT), 0),
        until_confirmed=_get(fields, "until_confirmed", _count, None),
    )
    if set(step.who) <= {DUTY_TARGET} and "otherwise" in fields:
        raise _WrongError(
            fields["otherwise"], "otherwise no se alcanza nunca: duty siempre existe", "Quite otherwise."
        )
    return step


def _count(node: yaml.Node) -> int | None:
    return _number(node, 1, 100)


def _ways(node: yaml.Node) -> tuple[str, ...]:
    ways = tuple(_text(n, _WORD, "sms") for n in _items(node))
    if not ways:
        raise _WrongError(node, "falta por dónde avisar", "Escriba por ejemplo [sms].")
    return ways


def _targets(node: yaml.Node) -> tuple[Target, ...]:
    targets = tuple(_target(n) for n in _items(node))
    if not targets:
        raise _WrongError(node, "falta a quién avisar", "Escriba por ejemplo [duty].")
    if len(set(targets)) < len(targets):
        raise _WrongError(node, "nombra dos veces al mismo", "Deje uno.")
    return targets


def _target(node: yaml.Node) -> Target:
    word, colon, name = (node.value if isinstance(node, yaml.ScalarNode) else "").partition(":")
    name = name.strip()
    if word not in set(Who):
        raise _WrongError(
            node, f"no se conoce a «{str(word)[:40]}»", f"Use {', '.join(Who)}; p. ej. oncall:jefe_turno."
        )
    who = Who(word)
    if (who in NAMED) != bool(colon and name) or len(name) > 120:
        remedy = f"Escriba {who}:NOMBRE." if who in NAMED else f"Escriba solo {who}."
        raise _WrongError(node, f"«{node.value[:60]}» está incompleto o de más", remedy)
    if who is Who.ON_CALL and not _CALENDAR.match(name):
        raise _WrongError(node, "el calendario no sirve de nombre", "Use minúsculas, cifras y _.")
    return Target(who, name)


def _check(node: yaml.Node, fields: dict[str, yaml.Node], policy: Policy) -> None:
    """What is well written and still makes no sense."""
    if not policy.priorities:
        raise _WrongError(fields["priorities"], "falta la prioridad", "De 1 (vida) a 4.")
    told = {t.who for s in policy.steps for t in (*s.who, *s.otherwise)} | {t.who for t in policy.remind}
    if policy.kinds & RESTRICTED_KINDS and told & {Who.NEIGHBOURS, Who.GROUP}:
        raise _WrongError(
            node, "una alerta reservada nunca se avisa a vecinos ni a grupos", "Use duty u oncall."
        )
    if (
        policy.acknowledge_within_s
        and policy.dispatch_within_s
        and policy.dispatch_within_s < policy.acknowledge_within_s
    ):
        raise _WrongError(
            fields["dispatch_within_s"],
            "se contradice: hay menos tiempo para despachar que para acusar",
            "dispatch_within_s cuenta desde el acuse y no puede ser menor que acknowledge_within_s.",
        )
    _check_quorums(fields, policy)
    _check_waits(fields, policy)


def _check_waits(fields: dict[str, yaml.Node], policy: Policy) -> None:
    planned = schedule(policy)
    if planned and planned[-1][0] > MAX_SECONDS:
        raise _WrongError(
            fields["steps"],
            f"el último paso no se alcanza: espera {elapsed_text(planned[-1][0])} en total",
            f"Sume a lo más {MAX_SECONDS // 86_400} días, repeticiones incluidas.",
        )
    for name in ("remind", "remind_how"):
        if name in fields and not policy.remind_every_s and not policy.dispatch_within_s:
            raise _WrongError(
                fields[name],
                f"{name} no se alcanza nunca: no hay recordatorios",
                "Agregue remind_every_s o dispatch_within_s, o quítelo.",
            )


def _check_quorums(fields: dict[str, yaml.Node], policy: Policy) -> None:
    asked, told = False, _told_at_once(policy)
    for node, step in zip(_items(fields["steps"]) if "steps" in fields else [], policy.steps, strict=True):
        told |= {*step.who, *step.otherwise}
        most = sum(map(_people, told))
        if step.until_confirmed is not None and step.until_confirmed > most:
            raise _WrongError(
                node,
                f"until_confirmed: {step.until_confirmed} no se cumple nunca: hasta aquí se avisa"
                f" a lo más a {most:.0f}",
                "Baje el número, o avise antes a más personas.",
            )
        if step.until_confirmed is not None and not asked and step.repeat == 0:
            raise _WrongError(
                node,
                "until_confirmed en el primer paso no se alcanza: nadie ha sido consultado",
                "Agregue repeat, o póngalo en un paso posterior.",
            )
        asked = True


def _told_at_once(policy: Policy) -> set[Target]:
    """Who hears of the alert before any step: the group of its place too, where it is urgent."""
    is_urgent = bool(policy.priorities & {1, 2})
    is_restricted = bool(policy.kinds) and policy.kinds <= RESTRICTED_KINDS
    return {DUTY_TARGET, Target(Who.NEIGHBOURS)} if is_urgent and not is_restricted else {DUTY_TARGET}


def _people(target: Target) -> float:
    """How many people may answer: a calendar has one on call, a group any number, an institution none."""
    if target.who in (Who.NEIGHBOURS, Who.GROUP):
        return math.inf
    return 0 if target.who is Who.INSTITUTION else 1


def _check_against(node: yaml.Node, policy: Policy, earlier: list[Policy]) -> None:
    for other in earlier:
        if other.name == policy.name:
            raise _WrongError(node, f"ya hay una política «{policy.name}»", "Cambie el nombre.")
    free = {
        (priority, kind, is_drill)
        for priority in policy.priorities
        for kind in policy.kinds or {""}
        for is_drill in ((False, True) if policy.drills else (False,))
    }
    for other in earlier:
        free -= {
            (priority, kind, is_drill)
            for priority, kind, is_drill in free
            if priority in other.priorities
            and (other.drills or not is_drill)
            and kind in (other.kinds or {""})
        }
    if not free:
        raise _WrongError(
            node,
            f"la política «{policy.name}» no se alcanza nunca: otra anterior vale para lo mismo",
            "Quítela, o cambie priorities o kinds.",
        )
