"""What people of a watch group write, and what it means."""

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hub.notify.answer_text import question, stranger
from hub.notify.replies import Meaning, Sort, folded, read, tells_of_violence_at_home
from hub.notify.reply_words import MISSPELT, PHRASES, TYPED_EXACTLY
from hub.notify.text import GSM7

OPEN = ("K7", "M3")


def spelled(sort: Sort, *texts: str) -> list[tuple[str, Sort]]:
    return [(text, sort) for text in texts]


@pytest.mark.parametrize(
    ("text", "sort"),
    [
        *spelled(Sort.COMING, "1", "1.", "1)", " 1 ", "¡1!", "uno", "UNO", "１", "①", "1 voy", "1, voy!"),
        *spelled(Sort.COMING, "voy", "Voy", "VOY", "voyyyyy", "vOy!!!", "boy", "voi", "ya voy", "Sí, voy."),
        *spelled(Sort.COMING, "si", "sí", "Sii", "siiiii", "SÍ", "ok", "OK.", "okk", "oki", "okey", "dale"),
        *spelled(Sort.COMING, "ya", "Ya po", "ya poh", "ya pos", "listo", "Vamos", "vamoss", "bamos", "vmos"),
        *spelled(
            Sort.COMING, "voy al tiro", "voy altiro", "altiro voy", "voy en camino", "en camimo", "👍", "✅"
        ),
        *spelled(
            Sort.COMING,
            "voy pa allá",
            "voy para allá",
            "vamos saliendo",
            "voy en 5 minutos",
            "1 voy con mi hijo",
        ),
        *spelled(Sort.COMING, "ayudo", "yo voy", "cuenten conmigo", "de acuerdo", "recibido", "resibido"),
        *spelled(
            Sort.NOTHING_FOUND, "2", "dos", "nada", "Nada.", "sin novedad", "SIN NOVEDAD", "sin nobedad"
        ),
        *spelled(
            Sort.NOTHING_FOUND,
            "sin novedda",
            "sin novedades",
            "s/n",
            "no hay nada",
            "no veo nada",
            "todo bien",
        ),
        *spelled(Sort.NOTHING_FOUND, "todo tranquilo por acá", "2 sin novedad", "falsa alarma", "nada raro"),
        *spelled(Sort.HELP, "3", "tres", "3!", "3 ayuda", "necesitamos refuerzos"),
        *spelled(
            Sort.NOT_COMING, "no", "No.", "no puedo", "no puedo ir", "no voy", "no podemos ir", "estoy lejos"
        ),
        *spelled(
            Sort.CALL,
            "A",
            "a",
            "A!!",
            "aaaa",
            "AA",
            "ayuda",
            "Ayuda",
            "AYUDA!!!",
            "ayudaaaa",
            "ayúda",
            "alluda",
        ),
        *spelled(
            Sort.CALL, "ayda", "aiuda", "ayuad", "auxilio", "ausilio", "socorro", "SOS", "🆘", "emergencia"
        ),
        *spelled(Sort.CALL, "ayuda por favor", "necesito ayuda", "ayuda me están robando los animales"),
        *spelled(
            Sort.CALL, "por favor necesito ayuda urgente, entraron a la casa", "manden ayuda", "AYÚDENME"
        ),
        *spelled(Sort.JOIN, "ALTA", "alta", "Alta."),
        *spelled(Sort.LEAVE, "BAJA", "baja", "Baja!", "vaja", "STOP", "stop", "salir", "darme de baja"),
        *spelled(Sort.JOIN_BULLETINS, "ALTA BOLETÍN", "alta boletines"),
        *spelled(Sort.LEAVE_BULLETINS, "baja boletin", "BAJA BOLETINES"),
        *spelled(Sort.TEST, "PRUEBA", "prueba", "prueva", "preuba", "Esto es una prueba", "test"),
        *spelled(Sort.STATUS, "ESTADO", "estado", "estadp", "¿en qué va?", "status"),
        # what merely looks like one of them
        *spelled(
            Sort.FREE, "2 hombres armados", "1 camioneta blanca", "3 personas en el portón", "12", "1 2"
        ),
        *spelled(
            Sort.FREE,
            "no necesito ayuda",
            "sin ayuda",
            "bajo",
            "bajo altiro",
            "caja",
            "falta",
            "alto",
            "luego",
        ),
        *spelled(
            Sort.FREE,
            "voyeur",
            "okapi",
            "nadador",
            "ayudante",
            "altavoz",
            "bajada",
            "aprueba",
            "estadounidense",
        ),
        *spelled(
            Sort.FREE,
            "a las 5 voy",
            "gracias",
            "",
            "   ",
            "...",
            "visto",
            "Camión",
            "voy a contarles lo que vi ayer de noche",
        ),
        *spelled(Sort.FREE, "1 voy no", "²", "½", "hay humo en el cerro", "nadie", "cada", "stopp a todos"),
    ],
)
def test_a_message_means_what_people_mean_by_it(text: str, sort: Sort) -> None:
    assert read(text) == Meaning(sort)


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        *[
            (text, Meaning(Sort.COMING, "K7", is_known=True))
            for text in (
                "1 K7",
                "1k7",
                "K7 1",
                "k71",
                "k7-1",
                "1-K7",
                "#K7 voy",
                "voy K7",
                "1 K 7",
                "k 7: sí",
            )
        ],
        ("2 m3", Meaning(Sort.NOTHING_FOUND, "M3", is_known=True)),
        ("m3 sin novedad", Meaning(Sort.NOTHING_FOUND, "M3", is_known=True)),
        ("3k7", Meaning(Sort.HELP, "K7", is_known=True)),
        ("A K7", Meaning(Sort.HELP, "K7", is_known=True)),
        ("AYUDA K7", Meaning(Sort.HELP, "K7", is_known=True)),
        ("no puedo K7", Meaning(Sort.NOT_COMING, "K7", is_known=True)),
        ("K7", Meaning(Sort.CODE, "K7", is_known=True)),
        ("estado k7", Meaning(Sort.STATUS, "K7", is_known=True)),
        ("K7 veo una camioneta roja", Meaning(Sort.FREE, "K7", is_known=True)),
        # a code that does not concern the sender is named, so that somebody can say so
        ("1 B9", Meaning(Sort.COMING, "B9")),
        ("1b9", Meaning(Sort.COMING, "B9")),
        ("B9", Meaning(Sort.CODE, "B9")),
        ("estoy en la casa B12 con dos más", Meaning(Sort.FREE)),
        # two codes: nobody guesses
        ("1 K7 2 M3", Meaning(Sort.FREE)),
        ("1 K7 M3", Meaning(Sort.FREE)),
        ("1 k7 k7", Meaning(Sort.COMING, "K7", is_known=True)),
    ],
)
def test_a_code_says_which_alert(text: str, meaning: Meaning) -> None:
    assert read(text, OPEN) == meaning


def test_a_longer_code_wins_over_a_code_and_a_digit() -> None:
    assert read("k71", ("K7", "K71")) == Meaning(Sort.CODE, "K71", is_known=True)


@given(st.text(max_size=400), st.lists(st.from_regex(r"[A-HJ-NPRTUVWX][1-9][0-9]{0,4}", fullmatch=True)))
@example("\ud800", [])
@example("1" * 5000, ["K7"])
def test_any_text_means_something(text: str, codes: list[str]) -> None:
    meaning = read(text, codes)
    assert meaning == read(text, codes)
    assert not meaning.is_known or meaning.code in codes


_LETTERS = st.text("bcdfghjklmnpqrtvwxyz", min_size=2, max_size=6)


@given(st.sampled_from(sorted(p for p in PHRASES if p.isalpha() and len(p) >= 2)), _LETTERS, _LETTERS)
def test_nothing_is_found_inside_another_word(phrase: str, before: str, behind: str) -> None:
    assert read(before + phrase + behind).sort is Sort.FREE


@given(st.sampled_from(sorted(PHRASES)), st.sampled_from(["{}", "  {} ", "¡{}!", "{}.", "({})", "{}\n"]))
def test_case_accents_and_punctuation_change_nothing(phrase: str, around: str) -> None:
    accented = "".join(unicodedata.normalize("NFC", c + "\u0301") if c in "aeiou" else c for c in phrase)
    for written in (phrase, phrase.upper(), phrase.title(), accented):
        assert read(around.format(written)).sort is PHRASES[phrase]


@given(st.data())
def test_one_slip_never_takes_somebody_off_the_list_and_never_turns_one_meaning_into_another(
    data: st.DataObject,
) -> None:
    phrase = data.draw(st.sampled_from(sorted(p for p in PHRASES if p.isalpha() and len(p) >= 5)))
    place = data.draw(st.integers(0, len(phrase) - 1))
    slipped = phrase[:place] + data.draw(st.sampled_from("bcdfghjkmpqtvwxz")) + phrase[place + 1 :]
    sort = read(slipped).sort
    if slipped in PHRASES or phrase in MISSPELT:
        return
    assert sort not in TYPED_EXACTLY
    if sort is not Sort.FREE and sort is not PHRASES[phrase]:
        # as near to another phrase: that one's own word
        assert any(len(p) >= 4 and PHRASES[p] is sort for p in PHRASES)


@pytest.mark.parametrize(
    ("text", "is_so"),
    [
        ("Ayuda mi MARIDO me está pegando", True),
        ("auxilio, mi ex me amenazó", True),
        ("vif", True),
        ("ayuda entraron a robar, mi pareja está herida", False),
        ("ayuda, ando en la pega y hay humo", False),
        ("exmarido", False),
    ],
)
def test_violence_at_home_is_known_by_its_words(text: str, is_so: bool) -> None:
    assert tells_of_violence_at_home(text) is is_so


def test_emphasis_is_calmed_and_doubled_letters_are_one() -> None:
    assert folded("¡¡Voooooy!!  YA") == ("voy", "ya")


def test_a_question_fits_one_text_and_names_the_codes() -> None:
    text = question(
        [("K7", "panic"), ("M3", "smoke"), ("B4", "man_down"), ("C5", "gate_open"), ("D6", "x")], "1"
    )
    assert text == (
        "Hay 5 alertas: K7 PANICO, M3 HUMO, B4 PERSONA CAIDA, C5 PORTON ABIERTO. Responda con el codigo,"
        " por ejemplo: 1 K7"
    )
    assert len(text) <= 160
    assert set(stranger("133")) <= GSM7
