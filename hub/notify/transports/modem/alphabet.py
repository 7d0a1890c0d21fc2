"""The GSM 7-bit default alphabet (3GPP TS 23.038, section 6.2.1) and what a text costs in it. Pure.

A *septet* is one code of the alphabet. Characters of the extension table cost two: the escape and a code.
"""

import unicodedata
from collections.abc import Mapping

ESCAPE = 0x1B

_BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENSION = {
    0x0A: "\f",
    0x14: "^",
    0x28: "{",
    0x29: "}",
    0x2F: "\\",
    0x3C: "[",
    0x3D: "~",
    0x3E: "]",
    0x40: "|",
    0x65: "€",
}
SPANISH_SHIFT = _EXTENSION | {
    0x09: "ç",
    0x41: "Á",
    0x49: "Í",
    0x4F: "Ó",
    0x55: "Ú",
    0x61: "á",
    0x69: "í",
    0x6F: "ó",
    0x75: "ú",
}
"""What follows an escape where the header names the Spanish single shift table (TS 23.038, A.2.2)."""

_CODES: dict[str, bytes] = {
    **{char: bytes([code]) for code, char in enumerate(_BASIC) if code != ESCAPE},
    **{char: bytes([ESCAPE, code]) for code, char in _EXTENSION.items()},
}
COSTS: dict[str, int] = {char: len(code) for char, code in _CODES.items()}
"""Septets for each character; what is missing here needs UCS-2."""


def is_gsm(text: str) -> bool:
    """Whether every character is in the default alphabet or its extension."""
    return all(char in _CODES for char in text)


def septet_count(text: str) -> int:
    """Raises KeyError for a character that is not in the alphabet."""
    return sum(COSTS[char] for char in text)


def encode(text: str) -> bytes:
    """One septet in each byte. Raises KeyError for a character that is not in the alphabet."""
    return b"".join(_CODES[char] for char in text)


def decode(septets: bytes, shift: Mapping[int, str] | None = None) -> str:
    """``shift`` is the table behind the escape; the extension table if not given.

    A code that its table lacks reads as the basic table's character, as the standard wants it. An escape at
    the very end stays ``\\x1b``: its other half may open the next part (:func:`mend`).
    """
    if ESCAPE not in septets:
        return "".join([_BASIC[code] for code in septets])
    return mend("".join([_BASIC[code] for code in septets]), shift)


def mend(text: str, shift: Mapping[int, str] | None = None) -> str:
    """Resolve the escapes in decoded text; one at the very end stays."""
    table = _EXTENSION if shift is None else shift
    out: list[str] = []
    chars = iter(text)
    for char in chars:
        if char != "\x1b":
            out.append(char)
            continue
        escaped = next(chars, None)
        if escaped is None:
            out.append(char)
        elif escaped == "\x1b":
            out.append(" ")
        else:
            out.append(table.get(_CODES[escaped][-1], escaped))
    return "".join(out)


def pack(septets: bytes, fill_bits: int = 0) -> bytes:
    """Septets to octets, lowest bits first, behind ``fill_bits`` zero bits (TS 23.038, section 6.1.2.1)."""
    if not septets:
        return b""
    bits = int("".join([f"{septet:07b}" for septet in reversed(septets)]), 2) << fill_bits
    return bits.to_bytes((7 * len(septets) + fill_bits + 7) // 8, "little")


def unpack(octets: bytes, count: int, fill_bits: int = 0) -> bytes:
    """``count`` septets; those that ``octets`` no longer holds are zero."""
    bits = int.from_bytes(octets, "little") >> fill_bits
    return bytes([bits >> 7 * index & 0x7F for index in range(count)])


# ---------------------------------------------------------------------------------- texto económico

_CHEAP = str.maketrans(
    {
        **dict(zip("áíóúÁÍÓÚ", "aiouAIOU", strict=True)),
        **dict.fromkeys("“”„‟«»″", '"'),
        **dict.fromkeys("‘’‚‛′´`", "'"),
        **dict.fromkeys("‐‑‒–—―−", "-"),
        **dict.fromkeys("•·∙▪●", "-"),
        **dict.fromkeys("\u200b\u200c\u200d\u2060\ufeff\u00ad", ""),
        "…": "...",
        "ª": "a",
        "º": "o",
        "°": "o",
        "№": "No",
        "™": "TM",
        "×": "x",
        "ç": "c",
        "œ": "oe",
        "Œ": "OE",
        "\t": " ",
        "\v": "\n",
        "\u0085": "\n",
        "\u2028": "\n",
        "\u2029": "\n",
    }
)


def economic(text: str) -> str:
    """*Texto económico*: what would turn the text into UCS-2 (70 characters instead of 160) in plain letters.

    ñ é ü ¡ ¿ Ñ É Ü and all else that the alphabet has stay. What has no plain form (emoji, other scripts)
    stays too: better a dearer text than one that lost its meaning.
    """
    if is_gsm(text):
        return text
    composed = unicodedata.normalize("NFC", text).translate(_CHEAP)
    return "".join([char if char in _CODES else _plain(char) for char in composed])


def _plain(char: str) -> str:
    """The letter below the accents, or the usual form of a typographic character; control codes go."""
    if char.isspace():
        return " "
    if unicodedata.category(char) == "Cc":
        return ""
    decomposed = unicodedata.normalize("NFKD", char).replace("\u2044", "/")
    base = "".join([part for part in decomposed if not unicodedata.combining(part)])
    return base if base and is_gsm(base) else char
