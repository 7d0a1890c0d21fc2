"""An alert that waits for people's word: raised once enough of them confirm, or left as it is."""

import itertools
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from fakes import VirtualClock
from rule_hubs import START, Heard, RuleHub, add_fleet, hub_on, minute, pass_time

from hub.alerts import service as alerts
from hub.alerts.lifecycle import Move, Reason
from hub.database import Pool
from hub.notify import service as notify
from hub.rules.errors import RuleFileError
from hub.rules.loading import load_rules

RULE = """rules:
  - {name: r_r, title: Posible humo, kind: smoke_suspected, priority: 3, when: {event: a.x},
     confirm: {at_least: 2, within: 10 min, priority: 1}}
"""


@dataclass
class Ground:
    """One alert that waits, and the hubs that look after it."""

    pool: Pool
    clock: VirtualClock
    hubs: list[RuleHub]
    alert_id: uuid.UUID

    async def until(self, at: float) -> None:
        await pass_time(self.pool, self.clock, self.hubs, minute(at))

    async def answer(self, at: float, person: str, answer: str) -> None:
        await self.until(at)
        await notify.confirm(self.pool, self.alert_id, person, answer, minute(at))
        await self.until(at)

    async def new_hub(self) -> RuleHub:
        return await hub_on(self.pool, self.clock, RULE)

    async def priority(self) -> int:
        return await self.pool.fetchval("select priority from alerts")

    async def outcome(self) -> str | None:
        return await self.pool.fetchval("select outcome from alert_questions")


@pytest.fixture
async def ground(pool: Pool) -> Ground:
    await add_fleet(pool)
    await pool.execute("update devices set watch_group = 'junta'")
    await pool.execute(
        "insert into contacts (name, phone, watch_group) values ('Ana', '+56911111111', 'junta')"
    )
    clock = VirtualClock(START)
    hub = await hub_on(pool, clock, RULE)
    await hub.hear([Heard(0, "a.x")])
    return Ground(pool, clock, [hub], await pool.fetchval("select alert_id from alerts"))


YES: Sequence[tuple[float, str, str]] = ((2, "contact:1", "help"), (3, "contact:2", "help"))


async def test_on_time(ground: Ground) -> None:
    assert await ground.priority() == 3
    for at, person, word in YES:
        await ground.answer(at, person, word)
    assert (await ground.priority(), await ground.outcome()) == (1, "confirmed")
    notes = [entry.note for entry in await alerts.timeline(ground.pool, ground.alert_id)]
    assert "Confirmado por 2 personas" in notes


async def test_neighbours_are_asked_first_and_alerted_then(ground: Ground) -> None:
    texts = "select text from notifications where contact_id is not null order by created_at"
    asked = [row["text"] for row in await ground.pool.fetch(texts)]
    assert len(asked) == 1
    assert asked[0].startswith("¿CONFIRMA? ")
    assert "POSIBLE HUMO" in asked[0]
    for at, person, word in YES:
        await ground.answer(at, person, word)
    told = [row["text"] for row in await ground.pool.fetch(texts)]
    assert len(told) == 2
    assert told[1].startswith("ALERTA ")


async def test_late(ground: Ground) -> None:
    """The second answer comes after the lapse: the alert stays as it is, and says so."""
    await ground.answer(2, "contact:1", "help")
    await ground.answer(10.1, "contact:2", "help")
    await ground.until(30)
    assert (await ground.priority(), await ground.outcome()) == (3, "lapsed")
    moves = [entry.move for entry in await alerts.timeline(ground.pool, ground.alert_id)]
    assert moves.count("unconfirmed") == 1


async def test_duplicate(ground: Ground) -> None:
    """One person is one person, however often the answer arrives."""
    for at in (1, 2, 2, 3):
        await ground.answer(at, "contact:1", "help")
    assert (await ground.priority(), await ground.outcome()) == (3, None)


async def test_out_of_order(ground: Ground) -> None:
    """An older answer that arrives behind a newer one does not take it back."""
    await ground.answer(2, "contact:1", "help")
    await ground.until(3)
    await notify.confirm(ground.pool, ground.alert_id, "contact:1", "nothing_found", minute(1))
    await notify.confirm(ground.pool, ground.alert_id, "contact:2", "help", minute(2.5))
    await ground.until(3)
    assert await ground.outcome() == "confirmed"


async def test_who_takes_it_back_in_time_does_not_count(ground: Ground) -> None:
    await ground.answer(2, "contact:1", "help")
    await ground.answer(3, "contact:1", "nothing_found")
    await ground.answer(4, "contact:2", "help")
    await ground.answer(5, "contact:3", "coming")
    await ground.until(11)
    assert (await ground.priority(), await ground.outcome()) == (3, "lapsed")


async def test_restart_in_the_middle(ground: Ground) -> None:
    """Hubs die before each answer; answers that came while none ran count by when they were given."""
    for at, person, word in YES:
        ground.hubs = []
        await ground.clock.advance(60 * at - (ground.clock.now() - START).total_seconds())
        await notify.confirm(ground.pool, ground.alert_id, person, word, minute(at))
    await ground.clock.advance(3600)
    hub = await ground.new_hub()
    assert await hub.confirming.decide_due() == 1
    assert await hub.confirming.decide_due() == 0
    assert (await ground.priority(), await ground.outcome()) == (1, "confirmed")


async def test_two_hubs(ground: Ground) -> None:
    ground.hubs.append(await ground.new_hub())
    for at, person, word in YES:
        await ground.answer(at, person, word)
    await ground.until(30)
    moves = [entry.move for entry in await alerts.timeline(ground.pool, ground.alert_id)]
    assert moves.count("joined") == 1
    assert await ground.priority() == 1


@pytest.mark.parametrize("order", list(itertools.permutations(YES)))
async def test_whoever_answers_first(ground: Ground, order: Sequence[tuple[float, str, str]]) -> None:
    await ground.until(3)
    for at, person, word in order:
        await notify.confirm(ground.pool, ground.alert_id, person, word, minute(at))
    await ground.until(3)
    assert await ground.priority() == 1


async def test_a_closed_alert_is_not_raised(ground: Ground) -> None:
    await alerts.move(
        ground.pool, ground.alert_id, Move.CLOSE, author="user:ana", now=minute(1), reason=Reason.MISTAKEN
    )
    for at, person, word in YES:
        await ground.answer(at, person, word)
    assert (await ground.priority(), await ground.outcome()) == (3, "moot")


@pytest.mark.parametrize(
    ("confirm", "words"),
    [
        ("{at_least: 2, within: 10 min, priority: 3}", "no cambia nada"),
        ("{at_least: 2, within: 3 d, priority: 1}", "más de un día"),
        ("{at_least: 2, within: 10 min, priority: 1, answers: nothing_found}", "no confirma nada"),
        ("{at_least: 0, within: 10 min, priority: 1}", "«at_least»"),
        ("{within: 10 min, priority: 1}", "falta «at_least»"),
    ],
)
def test_a_question_that_can_change_nothing_is_refused(confirm: str, words: str) -> None:
    with pytest.raises(RuleFileError, match=words):
        load_rules({"r.yaml": RULE.replace("{at_least: 2, within: 10 min, priority: 1}", confirm)})
