"""What a text that came in means. Pure: the same text and the same open codes always mean the same.

A message is folded (case, accents, punctuation), its alert's code is taken out, and what is left must be a
whole phrase of the table. Nothing is ever found inside another word. A slip of one letter is mended in
words of four letters and more where only one word of the table is that near.
"""

import re
import unicodedata
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import groupby

from hub.notify.reply_words import (
    ANSWERS,
    AT_HOME,
    BLOWS,
    DIGITS,
    MAX_COMING_WORDS,
    MISSPELT,
    NEGATIONS,
    OPENINGS,
    OWN_WORDS,
    PHRASES,
    POLITE,
    RESERVED,
    SYMBOLS,
    TYPED_EXACTLY,
    Sort,
)

__all__ = ["ANSWERS", "Meaning", "Sort", "folded", "read", "tells_of_violence_at_home"]

MAX_CHARS = 1600
"""Ten parts of an SMS; what is longer is read up to here."""
MIN_SLIP_CHARS = 4
MAX_WORDS_WITH_UNKNOWN_CODE = 3
"""«1 K9» names an alert that is not there; «estoy en la B12 con dos más» names a house."""

_CODE = re.compile(r"[a-hj-np-rt-x][1-9][0-9]{0,4}\Z")
_DIGIT_AND_CODE = re.compile(r"([123])([a-hj-np-rt-x][1-9][0-9]{0,4})\Z")
_NUMBER = re.compile(r"[1-9][0-9]{0,4}\Z")


@dataclass(frozen=True, slots=True)
class Meaning:
    """``code`` in capitals, empty where none was named; ``is_known``: one of the codes that were open."""

    sort: Sort
    code: str = ""
    is_known: bool = False

    @property
    def is_answer(self) -> bool:
        return self.sort in ANSWERS


def read(text: str, codes: Collection[str] = ()) -> Meaning:
    """The meaning of ``text`` from somebody whom the alerts ``codes`` (as ``K7``) concern."""
    words = folded(text)
    known = frozenset(code.lower() for code in codes)
    rest, found = _without_codes(words, known)
    if len(found) > 1:
        return Meaning(Sort.FREE)  # nobody guesses which of them was meant
    if found:
        return Meaning(_said_of_one(rest), found[0].upper(), is_known=True)
    rest, code = _without_unknown_code(words)
    if code and len(words) <= MAX_WORDS_WITH_UNKNOWN_CODE:
        sort = _said_of_one(rest)
        if sort in ANSWERS or sort is Sort.CODE:
            return Meaning(sort, code.upper())
    return Meaning(_said(words))


def folded(text: str) -> tuple[str, ...]:
    """The words of a message: small, without accents, punctuation or emphasis (``¡Voyyy!`` → ``voy``)."""
    spoken = "".join(f" {SYMBOLS[c]} " if c in SYMBOLS else c for c in text[:MAX_CHARS])
    plain = unicodedata.normalize("NFKD", spoken).casefold()
    bare = "".join(c for c in unicodedata.normalize("NFKD", plain) if not unicodedata.combining(c))
    return tuple(map(_calm, "".join(c if c.isalnum() else " " for c in bare).split()))


def _calm(word: str) -> str:
    """``ayudaaaa`` → ``ayuda``: three or more of a letter are one; digits stay."""
    runs = ((char, len(list(run))) for char, run in groupby(word))
    return "".join(char if n > 2 and not char.isdigit() else char * n for char, n in runs)


def tells_of_violence_at_home(text: str) -> bool:
    """Whether whoever it is about may be a neighbour, or hold this phone a minute later."""
    words = frozenset(folded(text))
    return bool(words & RESERVED or (words & AT_HOME and words & BLOWS))


# ------------------------------------------------------------------------------------------- codes


def _without_codes(words: tuple[str, ...], known: frozenset[str]) -> tuple[tuple[str, ...], list[str]]:
    """The other words, and the known codes among them, each once."""
    rest: list[str] = []
    found: dict[str, None] = {}
    waiting = list(words)
    while waiting:
        word = waiting.pop(0)
        joined = word + waiting[0] if waiting and len(word) == 1 and _NUMBER.match(waiting[0]) else ""
        if joined in known:
            waiting.pop(0)
            found[joined] = None
            continue
        code, answer = _glued(word, known)
        if code:
            found[code] = None
        rest += [answer] if answer else [] if code else [word]
    return tuple(rest), list(found)


def _glued(word: str, known: frozenset[str]) -> tuple[str, str]:
    """Code and answer of ``k7``, ``1k7`` and ``k71``; empty where there is none."""
    if word in known:
        return word, ""
    if (match := _DIGIT_AND_CODE.match(word)) and match[2] in known:
        return match[2], match[1]
    if word[-1] in DIGITS and word[:-1] in known:
        return word[:-1], word[-1]
    return "", ""


def _without_unknown_code(words: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
    for position, word in enumerate(words):
        others = words[:position] + words[position + 1 :]
        if _CODE.match(word):
            return others, word
        if match := _DIGIT_AND_CODE.match(word):
            return (*others, match[1]), match[2]
    return words, ""


# ----------------------------------------------------------------------------------------- phrases


def _said_of_one(words: tuple[str, ...]) -> Sort:
    """What was said beside a code: a call for help is then help for that alert."""
    if not words:
        return Sort.CODE
    sort = _said(words)
    return Sort.HELP if sort is Sort.CALL else sort


def _said(words: tuple[str, ...]) -> Sort:
    sort = _phrase(words) or _phrase(_mended(words), is_mended=True) or _opening(words)
    return sort or Sort.FREE


def _phrase(words: tuple[str, ...], *, is_mended: bool = False) -> Sort | None:
    sort = PHRASES.get(" ".join(words)) or _SINGLE.get(" ".join(map(_single, words)))
    if sort is None and words and set("".join(words)) == {"a"}:
        sort = Sort.CALL  # "aa": somebody leans on the key
    return None if is_mended and sort in TYPED_EXACTLY else sort


def _single(word: str) -> str:
    return "".join(char for char, _ in groupby(word)) if not word.isdigit() else word


_SINGLE = {" ".join(map(_single, phrase.split())): sort for phrase, sort in PHRASES.items()}
"""The phrases with doubled letters as one: «sii», «okk», «yego» is another thing."""

_WORDS = frozenset(word for phrase in PHRASES for word in phrase.split())
_LONG_WORDS = sorted(word for word in _WORDS - MISSPELT if len(word) >= MIN_SLIP_CHARS)


def _opening(words: tuple[str, ...]) -> Sort | None:
    """Messages that go on after the word that counts; a digit counts with its own word behind it."""
    if words and words[0] in DIGITS and _phrase(words[1:2]) is DIGITS[words[0]]:
        return None if _denies(words[1:]) else DIGITS[words[0]]
    rest = words
    while rest and rest[0] in POLITE and rest[0] not in OPENINGS:
        rest = rest[1:]
    sort = OPENINGS.get(_mended(rest[:1])[0]) if rest else None
    if sort is None or _denies(words):
        return None
    return None if sort is Sort.COMING and len(words) > MAX_COMING_WORDS else sort


def _denies(words: tuple[str, ...]) -> bool:
    return not NEGATIONS.isdisjoint(words)


def _mended(words: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(_mend, words))


def _mend(word: str) -> str:
    if len(word) < MIN_SLIP_CHARS or word in _WORDS or word in OWN_WORDS or not word.isalpha():
        return word
    near = [ours for ours in _LONG_WORDS if _is_one_slip(word, ours)]
    return near[0] if len(near) == 1 else word


def _is_one_slip(word: str, ours: str) -> bool:
    """Whether one letter was added, left out, replaced, or two neighbours swapped."""
    if abs(len(word) - len(ours)) > 1:
        return False
    start = next((i for i, (a, b) in enumerate(zip(word, ours, strict=False)) if a != b), None)
    if start is None:
        return len(word) != len(ours)
    return any(a == b for a, b in _repairs(word, ours, start))


def _repairs(word: str, ours: str, i: int) -> Iterator[tuple[str, str]]:
    yield word[i + 1 :], ours[i + 1 :]
    yield word[i + 1 :], ours[i:]
    yield word[i:], ours[i + 1 :]
    yield word[i : i + 2][::-1] + word[i + 2 :], ours[i:]
