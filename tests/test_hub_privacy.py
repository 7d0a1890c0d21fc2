"""What counts as naming a person, in all free text of operations, forms and registers."""

import pytest

from hub.privacy import names_a_person


@pytest.mark.parametrize(
    "text",
    [
        *("12.345.678-5", "12.345.678-4", "12.345.678 5", "9.876.5432", "6-K: 10.000.013-K"),
        *("vio a 12345678-5, calle 3", "de 10000013K", "10000013 - k"),
    ],
)
def test_a_rut_is_seen(text: str) -> None:
    assert names_a_person(text)


@pytest.mark.parametrize(
    "text",
    [
        *("parte A-004512", "FIS-2027-000123", "OPF-2027-0014", "34,5 kg", "2027-01-16"),
        *("vale 12.345.678 pesos", "parte 12345678-4", "12345678K", "P-12345678-5"),
    ],
)
def test_a_folio_is_no_rut(text: str) -> None:
    assert not names_a_person(text)
