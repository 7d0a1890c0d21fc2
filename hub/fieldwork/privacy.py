"""Places and folios, never persons: what free text may not hold. Pure."""

import re

# Seven or eight digits with their check digit, with or without dots: 12.345.678-5, 12345678-K.
_RUT = re.compile(r"(?<![\w.-])\d{1,2}(?:\.?\d{3}){2}\s?-\s?[\dkK](?![\w-])")
_WEIGHTS = (2, 3, 4, 5, 6, 7)


def has_rut(text: str) -> bool:
    """Whether some word of ``text`` is a RUT with a right check digit; a folio seldom is."""
    return any(_is_right(found[0]) for found in _RUT.finditer(text))


def _is_right(text: str) -> bool:
    digits, _, check = text.replace(".", "").replace(" ", "").partition("-")
    total = sum(int(digit) * _WEIGHTS[at % 6] for at, digit in enumerate(reversed(digits)))
    return check.upper() == "0123456789K0"[11 - total % 11]
