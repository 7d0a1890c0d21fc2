"""Rules as the page shows them, and what people do with a draft: permission, audit, Spanish errors."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from hub.alerts.lifecycle import REASON_LABELS, Reason
from hub.alerts.visibility import sees_restricted
from hub.nodes import Problem as RuleProblem
from hub.rule_work import drafts
from hub.rule_work.drafts import Draft, DraftError
from hub.rule_work.health import Ailment, ailments
from hub.rule_work.live import first_live
from hub.rules.errors import RuleFileError
from hub.rules.library import ready_files
from hub.rules.model import Rule
from hub.web import audit, bars, texts
from hub.web.bars import Bar
from hub.web.context import Console, RulesDesk
from hub.web.problem import Problem
from hub.web.sessions import Session

TOP_DEVICES = 15
OPEN = "open"


@dataclass(frozen=True, kw_only=True, slots=True)
class RuleView:
    """``file`` is empty for a rule that comes with the program; ``ailment`` None while it is well."""

    name: str
    title: str
    priority: int
    kind_label: str
    form: str
    version: str
    live_since: datetime | None
    file: str
    source: str
    ailment: Ailment | None


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceBar:
    name: str
    alerts: int
    real: int
    share: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """``really``: kind in Spanish → (how it was closed, how many)."""

    since: datetime
    until: datetime
    signals: int
    alerts: int
    joined: int
    false_percent: int | None
    by_rule: list[tuple[str, int]]
    hours: list[Bar]
    hour_counts: list[tuple[int, int, int]]
    devices: list[DeviceBar]
    more_devices: int
    really: list[tuple[str, list[tuple[str, int]]]]
    failures: list[tuple[str, int]]


def desk_of(console: Console) -> RulesDesk:
    if console.desk is None:
        raise Problem(404, "Este proceso no lleva reglas.")
    return console.desk


async def list_rules(console: Console) -> list[RuleView]:
    """Those in force, the most urgent first."""
    rules = desk_of(console).live.rules
    since = await first_live(console.pool, rules)
    ill = await ailments(console.pool, console.now())
    found = [_view(rule, since.get(rule.name), ill) for rule in rules]
    return sorted(found, key=lambda view: (view.priority, view.title))


def _view(rule: Rule, since: datetime | None, ill: Sequence[Ailment]) -> RuleView:
    of_rule = (a for a in ill if a.rule == rule.name and a.version in ("", rule.version))
    return RuleView(
        name=rule.name,
        title=rule.title,
        priority=rule.priority,
        kind_label=texts.named(texts.KINDS, rule.kind),
        form=rule.operator_name,
        version=rule.version,
        live_since=since,
        file="" if rule.file in ready_files() else Path(rule.file).name,
        source=rule.source,
        ailment=next(of_rule, None),
    )


# ------------------------------------------------------------------------------------------- drafts


def try_out(
    console: Console, session: Session, text: str, days: int
) -> tuple[Draft | None, list[RuleProblem]]:
    """The draft whose rehearsal was queued, or what is wrong with the text. Raises :class:`Problem` 422."""
    rules, problems = drafts.check(text)
    if problems:
        return None, problems
    try:
        draft = desk_of(console).drafts.add(text, rules, session.user.login, session.user.role, days)
    except DraftError as error:
        raise Problem(422, str(error)) from None
    return draft, []


def find_draft(console: Console, session: Session, draft_id: str) -> Draft:
    """Raises :class:`Problem` 404; also for who may not know all that the result counts."""
    draft = desk_of(console).drafts.get(draft_id)
    if draft is None or (sees_restricted(draft.role) and not sees_restricted(session.user.role)):
        raise Problem(404, "Ese ensayo ya no está: el sistema se reinició o hubo otros. Péguelo de nuevo.")
    return draft


def file_for(console: Console, draft: Draft) -> str:
    """The file that holds one of these rules already, else one named after the first."""
    names = {rule.name for rule in draft.rules}
    own = (rule for rule in desk_of(console).live.rules if rule.file not in ready_files())
    return next(
        (Path(rule.file).name for rule in own if rule.name in names), f"{draft.rules[0].name[:50]}.yaml"
    )


async def promote(console: Console, session: Session, draft: Draft, name: str) -> None:
    """The draft goes live as a file of the municipality. Raises :class:`Problem` 422."""
    desk = desk_of(console)
    try:
        await desk.drafts.promote(draft, name, session.user.login)
    except DraftError as error:
        raise Problem(422, str(error)) from None
    except RuleFileError as error:
        mistakes = "; ".join(f"{Path(p.file).name}:{p.line}: {p.text}" for p in error.problems[:5])
        raise Problem(422, f"Con este archivo las reglas no se podrían cargar. {mistakes}") from None
    except OSError as error:
        raise Problem(503, f"No se pudo escribir el archivo ({error.strerror}). Avise al técnico.") from None
    versions = ", ".join(f"{rule.name} {rule.version}" for rule in draft.rules)
    await audit.record(
        console.pool, console.now(), session.user.login, audit.Action.RULES_PROMOTED, name, versions[:500]
    )
    await desk.live.look()


def result_of(draft: Draft) -> Result | None:
    """The rehearsal's JSON as the page draws it; None before it is done."""
    if draft.state != "done":
        return None
    found: Any = draft.found
    devices = found["by_device"]
    most = max((max(d["alerts"], d["real"]) for d in devices), default=0)
    share = found["false_share"]
    hours = zip(range(24), found["by_hour"], found["real_by_hour"], strict=True)
    titles = {rule.name: rule.title for rule in draft.rules}
    return Result(
        since=datetime.fromisoformat(found["since"]),
        until=datetime.fromisoformat(found["until"]),
        signals=found["signals"],
        alerts=found["alerts"],
        joined=found["joined"],
        false_percent=None if share is None else round(share * 100),
        by_rule=[(title, found["by_rule"].get(name, 0)) for name, title in titles.items()],
        hours=bars.by_hour(found["by_hour"], found["real_by_hour"]),
        hour_counts=[row for row in hours if row[1] or row[2]],
        devices=[
            DeviceBar(
                name=d["name"], alerts=d["alerts"], real=d["real"], share=bars.share_of(d["alerts"], most)
            )
            for d in devices[:TOP_DEVICES]
        ],
        more_devices=max(0, len(devices) - TOP_DEVICES),
        really=[(texts.named(texts.KINDS, kind), _reasons(by)) for kind, by in found["really"].items()],
        failures=[(titles.get(name, name), count) for name, count in found["failures"].items()],
    )


def _reasons(counts: dict[str, int]) -> list[tuple[str, int]]:
    return [
        ("Abiertas" if reason == OPEN else REASON_LABELS[Reason(reason)], count)
        for reason, count in sorted(counts.items(), key=lambda item: -item[1])
    ]
