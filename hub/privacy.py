"""Places and folios, never persons: what free text may not hold. Pure."""

import re

# With its dots a RUT is like nothing else, and its hyphen is often left out. Without them it looks like a
# folio, and its check digit has to tell.
_DOTTED = re.compile(r"(?<![\w.-])\d{1,2}\.\d{3}\.\d{3}\s?-?\s?[\dkK](?![\w-])")
_PLAIN = re.compile(r"(?<![\w.-])(?:\d{7,8}\s?-\s?[\dkK]|\d{7,8}[kK])(?![\w-])")
_WEIGHTS = (2, 3, 4, 5, 6, 7)


def names_a_person(text: str) -> bool:
    """Whether a RUT seems to stand in ``text``: nobody who is inspected is written down."""
    return bool(_DOTTED.search(text)) or any(_is_right(found[0]) for found in _PLAIN.finditer(text))


def _is_right(text: str) -> bool:
    """Whether the last mark is the check digit (modulo 11) of what comes before."""
    marks = re.sub(r"[^\dkK]", "", text)
    total = sum(int(digit) * _WEIGHTS[at % 6] for at, digit in enumerate(reversed(marks[:-1])))
    return marks[-1].upper() == "0123456789K0"[11 - total % 11]
