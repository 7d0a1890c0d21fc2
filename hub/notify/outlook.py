"""What an alert waits for: its policy's promises, the next step and whom it comes to, who answered what."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from hub.alerts.model import Alert
from hub.database import Pool
from hub.notify.escalation import Policies, Policy, Stage, Standing, Target, Who, next_step
from hub.notify.policy import EQUIPMENT_KINDS

_ROW = """
select e.policy, e.stage, e.anchor_at, e.fired, e.due_at, e.watch_group,
  (select jsonb_object_agg(answer, n) from (
     select answer, count(*) as n from confirmations c where c.alert_id = e.alert_id group by answer) a
  )::text as answers
from escalations e where e.alert_id = $1
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outlook:
    """``who`` are Spanish words, empty when nothing is to come; ``due_at`` is when.

    ``answers``: coming, nothing_found, help → how many people. ``policy`` is empty where none fits.
    """

    policy: str = ""
    acknowledge_within_s: int | None = None
    dispatch_within_s: int | None = None
    stage: Stage = Stage.REST
    anchor_at: datetime | None = None
    due_at: datetime | None = None
    who: tuple[str, ...] = ()
    answers: Mapping[str, int] = field(default_factory=dict)


async def outlook(pool: Pool, alert: Alert, policies: Policies, now: datetime) -> Outlook:
    """As it stands now; nothing is fired by looking."""
    row = await pool.fetchrow(_ROW, alert.alert_id)
    fitting = policies.policy_for(alert.kind, alert.priority, alert.is_drill)
    if row is None:
        return _promises(fitting)
    policy = policies.by_name.get(row["policy"]) or fitting
    answers = _answers(row["answers"])
    standing = Standing(stage=Stage(row["stage"]), anchor_at=row["anchor_at"], fired=row["fired"])
    found = _promises(policy)
    step = None
    if policy is not None and row["due_at"] is not None:
        step = next_step(policy, standing, answers.get("coming", 0), now)
    who = () if step is None else words(step.who, alert, row["watch_group"])
    if step is not None and not who:
        who = words(step.otherwise, alert, row["watch_group"]) or ("turno",)
    return Outlook(
        policy=found.policy,
        acknowledge_within_s=found.acknowledge_within_s,
        dispatch_within_s=found.dispatch_within_s,
        stage=standing.stage,
        anchor_at=standing.anchor_at,
        due_at=None if step is None else row["due_at"],
        who=who,
        answers=answers,
    )


def _promises(policy: Policy | None) -> Outlook:
    if policy is None:
        return Outlook()
    return Outlook(
        policy=policy.name,
        acknowledge_within_s=policy.acknowledge_within_s,
        dispatch_within_s=policy.dispatch_within_s,
    )


def _answers(text: str | None) -> dict[str, int]:
    return {} if text is None else dict(json.loads(text))


def words(targets: tuple[Target, ...], alert: Alert, watch_group: str) -> tuple[str, ...]:
    """The targets as people read them; neighbours never of a reserved alert, of equipment, of a drill."""
    is_ours = alert.is_restricted or alert.kind in EQUIPMENT_KINDS or alert.is_drill
    found = []
    for target in targets:
        if target.who is Who.NEIGHBOURS and watch_group and not is_ours:
            found.append(f"grupo {watch_group}")
        elif target.who is Who.GROUP and not is_ours:
            found.append(f"grupo {target.name}")
        elif target.who not in (Who.NEIGHBOURS, Who.GROUP):
            found.append(_WORDS[target.who].format(target.name))
    return tuple(found)


_WORDS: Mapping[Who, str] = {
    Who.DUTY: "turno",
    Who.ON_CALL: "de guardia en {}",
    Who.INSTITUTION: "llamar a {}",
}
