"""An inspection mended, withdrawn or put back: what stands, what stays behind it, who has to sign again."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest
from test_hub_operations import NOW, START, draft, moved
from test_hub_papers import desk
from test_hub_web import Site, site
from test_hub_web_operations import inspector, send

from hub.database import Pool
from hub.operations import acta, correcting, reading, service
from hub.operations.correcting import Correction
from hub.operations.lifecycle import Move, missing
from hub.operations.model import Infringement, OperationError
from hub.papers import operating
from hub.registers.datasets import DATASETS

__all__ = ["site"]  # a fixture

FOLIO = "FIS-2027-000001"
FINE = Infringement(rule="Ordenanza 07 art. 12", ticket_folio="P-1")


async def inspected(pool: Pool) -> str:
    folio = (await service.plan(pool, draft(), author="jaime", now=NOW)).folio
    await moved(pool, folio, Move.CONFIRM, Move.START)
    operation = await reading.find(pool, folio)
    id_ = await pool.fetchval(
        "insert into inspections (inspection_id, folio, operation_id, point, trade, permit_state, result,"
        " inspected_at, author, recorded_at) values (gen_random_uuid(), $1, $2, 'P1', 'Ropa', 'none',"
        " 'infringement', $3, 'ines', $3) returning inspection_id",
        *(FOLIO, operation.operation_id, START),
    )
    await pool.execute(
        "insert into infringements values ($1, 1, 'Ordenanza 07 art. 12', 'P-1', '', null)", id_
    )
    goods = await pool.fetchval(
        "insert into seizures values (gen_random_uuid(), $1, 'ropa', 12, 'un', 'custody', 'D-1')"
        " returning seizure_id",
        id_,
    )
    await pool.execute(
        "insert into seizure_custody values ($1, 1, $2, 'DSP', 'Bodega', '', 'ines')", goods, START
    )
    await pool.execute("insert into inspection_referrals values ($1, 'SII', 'boleta')", id_)
    return folio


async def signed(pool: Pool) -> str:
    """One that is executed, and signed by the DSP."""
    folio = await inspected(pool)
    await moved(pool, folio, Move.EXECUTE)
    await service.count(
        pool, folio, present={"DSP": 5, "Carabineros": 0}, totals={}, author="ines", now=START
    )
    await service.sign(pool, folio, "DSP", author="jaime", now=START)
    return folio


async def exported(pool: Pool, dataset: str) -> int:
    rows = await pool.fetch(DATASETS[dataset].sql, START - timedelta(days=30), START + timedelta(days=30))
    return len(rows)


async def in_the_month_s_paper(pool: Pool, as_of: datetime) -> list[int]:
    span = operating.Span("", date(2027, 1, 1), date(2027, 2, 1))
    return [held.inspections for held in await operating.operations(desk(pool, as_of=as_of), span)]


def mended(**changes: object) -> Correction:
    values: dict[str, object] = {
        "trade": "Ropa usada",
        "permit_state": "expired",
        "permit_folio": "PM-7",
        "result": "infringement",
        "note": "",
        "infringements": [
            Infringement(rule=FINE.rule, ticket_folio="P-2", court="1.er JPL", hearing_on=date(2027, 2, 3))
        ],
        "reason": "El parte es el P-2",
    }
    return Correction(**(values | changes))  # type: ignore[arg-type]


async def test_the_mended_one_stands_with_its_goods_and_what_was_written_stays(pool: Pool) -> None:
    folio = await signed(pool)
    later = START + timedelta(hours=1)
    await correcting.correct(pool, folio, FOLIO, mended(), author="jaime", now=later)
    dossier = await reading.dossier(pool, folio)
    [one] = dossier.inspections
    assert (one.folio, one.trade, one.permit_state, one.mark, one.author) == (
        *(FOLIO, "Ropa usada", "expired", "corregida", "jaime"),
    )
    [fine] = one.infringements
    assert (fine.ticket_folio, fine.court, fine.hearing_on) == ("P-2", "1.er JPL", date(2027, 2, 3))
    [goods] = one.seizures
    assert (goods.quantity, goods.holders) == (Decimal(12), [(START, "DSP", "Bodega")])
    assert one.referrals == [("SII", "boleta")]
    assert "P-2, 1.er JPL el 03-02-2027" in acta.text(dossier)
    assert f"{FOLIO} (corregida)" in acta.text(dossier)
    assert "DSP firme de nuevo" in "; ".join(missing(dossier, Move.CLOSE, START))
    assert (dossier.log[0].move, dossier.log[0].note) == ("correct", f"{FOLIO}: El parte es el P-2")
    # what was written in the street is still there, and a second mend takes the first one's place
    assert await pool.fetchval("select ticket_folio from infringements where ticket_folio = 'P-1'") == "P-1"
    no_fine = mended(result="warning", infringements=[], reason="Fue advertencia")
    await correcting.correct(pool, folio, FOLIO, no_fine, author="jaime", now=later)
    [one] = (await reading.dossier(pool, folio)).inspections
    assert (one.result, list(one.infringements), len(one.seizures)) == ("warning", [], 1)
    assert await pool.fetchval("select count(*) from inspections") == 3


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"reason": " "}, "diga por qué"),
        ({"reason": "Era 12.345.678-5"}, "RUT"),
        ({"trade": ""}, "falta el rubro"),
        ({"permit_state": "otro"}, "de la lista"),
        ({"infringements": []}, "al menos una"),
        ({"result": "warning"}, "no es infracción"),
        ({"infringements": [Infringement(rule="", ticket_folio="P-2")]}, "no tiene su norma"),
        ({"note": "RUT 12.345.678-5"}, "RUT"),
        ({"infringements": [FINE] * 11}, "más de 10"),
    ],
)
async def test_a_mistake_is_named(pool: Pool, changes: dict[str, object], told: str) -> None:
    folio = await inspected(pool)
    with pytest.raises(OperationError, match=told):
        await correcting.correct(pool, folio, FOLIO, mended(**changes), author="jaime", now=NOW)
    assert await pool.fetchval("select count(*) from inspections") == 1


async def test_nothing_new_nothing_unknown_and_nothing_closed_is_mended(pool: Pool) -> None:
    folio = await inspected(pool)
    same: Sequence[Infringement] = [FINE]
    unchanged = mended(trade="Ropa", permit_state="none", permit_folio="", infringements=same)
    with pytest.raises(OperationError, match="no cambió nada"):
        await correcting.correct(pool, folio, FOLIO, unchanged, author="jaime", now=NOW)
    with pytest.raises(OperationError, match="no tiene la fiscalización"):
        await correcting.correct(pool, folio, "FIS-2027-9", mended(), author="jaime", now=NOW)
    await pool.execute(
        "update operations set state = 'closed', closed_at = planned_end, acta_folio = 'A' where folio = $1",
        folio,
    )
    with pytest.raises(OperationError, match="acta cerrada"):
        await correcting.correct(pool, folio, FOLIO, mended(), author="jaime", now=NOW)


async def test_the_page_shows_what_stands_and_takes_what_is_right(site: Site) -> None:
    folio = await inspected(site.pool)
    street, operator = await inspector(site), await site.person("olga")
    address = f"/operativos/{folio}/fiscalizaciones/{FOLIO}/corregir"
    assert address in (await street.client.get(f"/operativos/{folio}")).text
    page = (await street.client.get(address)).text
    assert 'value="P-1"' in page
    fields = {"rubro": "Ropa", "permiso": "none", "resultado": "infringement", "norma": [FINE.rule]}
    fields |= {"parte": ["P-9"], "juzgado": [""], "audiencia": ["mañana"], "motivo": "Parte mal copiado"}
    assert (await send(operator, address, **fields)).status_code == 403
    wrong = await send(street, address, **fields)
    assert wrong.status_code == 422
    assert "no es una fecha" in wrong.text
    assert 'value="P-9"' in wrong.text
    done = await send(street, address, **(fields | {"audiencia": ["2027-03-01"]}))
    assert done.status_code == 303
    page = (await street.client.get(f"/operativos/{folio}")).text
    assert "corregida por ines" in page
    assert "el 01-03-2027" in page
    assert (await street.client.get(address.replace("000001", "000002"))).status_code == 404


async def test_one_typed_twice_is_withdrawn_counts_nowhere_and_can_be_put_back(pool: Pool) -> None:
    folio = await signed(pool)
    later = START + timedelta(hours=1)
    before = acta.text(await reading.dossier(pool, folio))
    await correcting.withdraw(pool, folio, FOLIO, "Anotada dos veces", author="jaime", now=later)
    dossier = await reading.dossier(pool, folio)
    assert list(dossier.inspections) == []
    [gone] = dossier.withdrawn
    assert (gone.folio, gone.reason, gone.author, gone.at) == (FOLIO, "Anotada dos veces", "jaime", later)
    assert f"Retirada: {FOLIO} (Anotada dos veces); no cuenta." in acta.text(dossier)
    assert "DSP firme de nuevo" in "; ".join(missing(dossier, Move.CLOSE, START))
    assert (dossier.log[0].move, dossier.log[0].note) == ("withdraw", f"{FOLIO}: Anotada dos veces")
    assert await exported(pool, "fiscalizaciones") + await exported(pool, "partes") == 0
    assert await pool.fetchval("select sum(inspections) + sum(infringements) from panels.operations") == 0
    assert await pool.fetchval("select count(*) from panels.inspections") == 0
    assert await in_the_month_s_paper(pool, later - timedelta(minutes=1)) == [1]
    assert await in_the_month_s_paper(pool, later) == [0]
    with pytest.raises(OperationError, match="no tiene la fiscalización"):
        await correcting.withdraw(pool, folio, FOLIO, "otra vez", author="jaime", now=later)
    even_later = later + timedelta(hours=1)
    await correcting.restore(pool, folio, FOLIO, "Eran dos puestos", author="jaime", now=even_later)
    dossier = await reading.dossier(pool, folio)
    [one] = dossier.inspections
    assert (one.trade, one.infringements, one.seizures[0].quantity) == ("Ropa", [FINE], Decimal(12))
    assert one.seizures[0].holders == [(START, "DSP", "Bodega")]
    assert one.referrals == [("SII", "boleta")]
    assert list(dossier.withdrawn) == []
    assert acta.text(dossier).replace(f"{FOLIO} (repuesta)", FOLIO) == before
    assert await exported(pool, "partes") == 1
    assert await in_the_month_s_paper(pool, later) == [0], "what was known then stays so"
    with pytest.raises(OperationError, match="no tiene retirada"):
        await correcting.restore(pool, folio, FOLIO, "otra vez", author="jaime", now=even_later)


@pytest.mark.parametrize(("reason", "told"), [(" ", "diga por qué"), ("de 12.345.678-5", "RUT")])
async def test_nothing_is_withdrawn_without_a_reason(pool: Pool, reason: str, told: str) -> None:
    folio = await inspected(pool)
    with pytest.raises(OperationError, match=told):
        await correcting.withdraw(pool, folio, FOLIO, reason, author="jaime", now=NOW)
    assert len((await reading.dossier(pool, folio)).inspections) == 1


async def test_the_desk_withdraws_and_puts_back(site: Site) -> None:
    folio = await inspected(site.pool)
    street, operator = await inspector(site), await site.person("olga")
    address = f"/operativos/{folio}/fiscalizaciones/{FOLIO}"
    assert (await send(operator, f"{address}/retirar", motivo="doble")).status_code == 403
    bare = await send(street, f"{address}/retirar", motivo=" ")
    assert (bare.status_code, "Diga por qué se retira." in bare.text) == (422, True)
    assert (await send(street, f"{address}/retirar", motivo="Anotada dos veces")).status_code == 303
    page = (await street.client.get(f"/operativos/{folio}")).text
    assert "Retiradas (1), no cuentan" in page
    assert "Retiró una fiscalización" in page
    assert f"{address}/corregir" not in page
    assert (await street.client.get(f"{address}/corregir")).status_code == 404
    assert f"{address}/reponer" in page
    assert f"{address}/reponer" not in (await operator.client.get(f"/operativos/{folio}")).text
    assert (await send(operator, f"{address}/reponer", motivo="era otra")).status_code == 403
    assert (await send(street, f"{address}/reponer", motivo="")).status_code == 422
    assert (await send(street, f"{address}/reponer", motivo="Eran dos puestos")).status_code == 303
    page = (await street.client.get(f"/operativos/{folio}")).text
    assert f"{address}/corregir" in page
    assert "Retiradas" not in page
    said = await site.pool.fetch("select detail from audit where object = $1 order by audit_id", folio)
    assert [row[0] for row in said if FOLIO in row[0]] == [f"withdraw {FOLIO}", f"restore {FOLIO}"]
