"""The AT dialogue, what lines mean, whose fault an error is: the modem's parts that decide without a port."""

from datetime import UTC, datetime, timedelta

import pytest

from hub.notify.transports.modem import replies
from hub.notify.transports.modem.alphabet import encode, pack
from hub.notify.transports.modem.assemble import Assembler
from hub.notify.transports.modem.bucket import full
from hub.notify.transports.modem.dialogue import (
    CTRL_Z,
    MAX_LINE_CHARS,
    Dialogue,
    Event,
    Notice,
    Prompt,
    Reply,
    Restarted,
)
from hub.notify.transports.modem.errors import CME, CMS, Fault, cause_of, refusal, report_text
from hub.notify.transports.modem.inbox import Inbox
from hub.notify.transports.modem.pdu import StatusReport, deliver
from hub.notify.transports.modem.references import ConcatReferences, KnownReferences, part_reference
from hub.notify.transports.modem.remedy import Remedy, is_dead, remedy
from hub.notify.transports.modem.replies import Registration, Stored
from hub.notify.transports.modem.segments import split
from hub.notify.transports.modem.sending import Parts

DELIVER = "0791569500000990040B916589674523F1000062112600000000024F25"
DELIVER_LENGTH = len(DELIVER) // 2 - 1 - 7


def said(dialogue: Dialogue, *texts: str, size: int = 10_000) -> list[Event]:
    """Everything that the dialogue makes of ``texts``, fed in pieces of ``size`` bytes."""
    data = "".join(texts).encode("latin-1")
    events: list[Event] = []
    for at in range(0, len(data), size):
        events += dialogue.feed(data[at : at + size])
    return events


def asking(command: str, expects: str = "", *, prompts: bool = False) -> Dialogue:
    dialogue = Dialogue()
    dialogue.begin(command, expects=expects, prompts=prompts)
    return dialogue


# ------------------------------------------------------------------------------------------ dialogue


def test_a_command_is_its_text_and_a_carriage_return() -> None:
    dialogue = Dialogue()
    assert dialogue.begin("AT+CSQ") == b"AT+CSQ\r"
    assert dialogue.body("00A1") == b"00A1" + CTRL_Z


@pytest.mark.parametrize("echo", ["", "AT+CSQ\r", "AT+CSQ\r\r\n"])
def test_echo_is_not_part_of_the_reply(echo: str) -> None:
    assert said(asking("AT+CSQ"), echo, "\r\n+CSQ: 17,99\r\n\r\nOK\r\n") == [Reply(("+CSQ: 17,99",), "OK")]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 64])
def test_every_chunking_gives_the_same_events(size: int) -> None:
    talk = (
        'AT+CMGL=4\r\r\n+CMGL: 1,1,,23\r\n0011AA\r\n\r\n+CMTI: "ME",7\r\n+CMGL: 2,1,,23\r\n'
        f"\r\n+CDS: {DELIVER_LENGTH}\r\n{DELIVER}\r\n0022BB\r\n\r\nOK\r\n"
        '\r\n+CUSD: 0,"Su saldo\nes $1.234",15\r\n'
    )
    whole = said(asking("AT+CMGL=4"), talk)
    assert said(asking("AT+CMGL=4"), talk, size=size) == whole
    assert whole == [
        Notice("+CMTI", '"ME",7'),
        Notice("+CDS", str(DELIVER_LENGTH), DELIVER),
        Reply(("+CMGL: 1,1,,23", "0011AA", "+CMGL: 2,1,,23", "0022BB"), "OK"),
        Notice("+CUSD", '0,"Su saldo es $1.234",15'),
    ]


@pytest.mark.parametrize(
    "final", ["ERROR", "+CMS ERROR: 500", "+CME ERROR: 10", "+CME ERROR: SIM busy", "COMMAND NOT SUPPORT"]
)
def test_final_results(final: str) -> None:
    assert said(asking("AT+CPIN?"), f"\r\n{final}\r\n") == [Reply((), final)]


def test_the_prompt_needs_no_end_of_line_and_comes_only_when_it_is_wanted() -> None:
    dialogue = asking("AT+CMGS=23", "+CMGS", prompts=True)
    assert said(dialogue, "AT+CMGS=23\r\r\n> ") == [Prompt()]
    dialogue.body("00A1")
    assert said(dialogue, "00A1\r\n+CMGS: 8\r\n\r\nOK\r\n") == [Reply(("+CMGS: 8",), "OK")]
    assert said(asking("AT"), "\r\n> \r\nOK\r\n") == [Reply((), "OK")]


def test_an_ok_of_an_earlier_command_does_not_pass_for_the_reply() -> None:
    dialogue = asking("AT+CSQ", "+CSQ")
    assert said(dialogue, "\r\nOK\r\n") == []
    assert said(dialogue, "\r\n+CSQ: 9,99\r\n\r\nOK\r\n") == [Reply(("+CSQ: 9,99",), "OK")]


def test_a_late_reference_is_told_as_a_notice() -> None:
    assert said(asking("AT"), "\r\n+CMGS: 31\r\n\r\nOK\r\n") == [Notice("+CMGS", "31"), Reply((), "OK")]
    assert said(Dialogue(), "\r\n+CMGS: 31\r\n\r\nOK\r\n") == [Notice("+CMGS", "31")]


def test_registration_asked_for_and_told_unasked() -> None:
    asked = asking("AT+CREG?", "+CREG")
    assert said(
        asked, '\r\n+CREG: 2\r\n\r\n+CREG: 1,"1A2B","03C4"\r\n\r\n+CREG: 2,1,"1A2B"\r\n\r\nOK\r\n'
    ) == [
        Notice("+CREG", "2"),
        Notice("+CREG", '1,"1A2B","03C4"'),
        Reply(('+CREG: 2,1,"1A2B"',), "OK"),
    ]


def test_noise_around_and_between_lines() -> None:
    noise = "\xff\x00\xfe~\x80\r\n\xc3(\r\n"
    assert said(asking("AT"), noise, "\x00\xff\r\nOK\r\n")[-1] == Reply(("~", "\xc3("), "OK")
    assert said(asking("AT"), "\x00\x80\xffOK\r\n") == [Reply((), "OK")]
    assert said(Dialogue(), noise) == []


def test_a_line_without_end_is_thrown_away() -> None:
    dialogue = asking("AT")
    assert said(dialogue, "x" * (MAX_LINE_CHARS * 3), "\r\nOK\r\n")[-1].final == "OK"  # type: ignore[union-attr]


def test_a_banner_ends_the_command_that_was_under_way() -> None:
    dialogue = asking("AT+CMGS=23", "+CMGS", prompts=True)
    assert said(dialogue, "\r\nRDY\r\n", "\r\nOK\r\n") == [Restarted("RDY")]
    assert dialogue.is_idle


def test_periodic_noise_of_a_maker_is_a_notice() -> None:
    assert said(asking("AT+CSQ"), "\r\n^BOOT:20483416,0,0,0,72\r\n\r\nOK\r\n") == [
        Notice("^BOOT", "20483416,0,0,0,72"),
        Reply((), "OK"),
    ]


# ------------------------------------------------------------------------------------------- replies


@pytest.mark.parametrize(
    ("line", "dbm", "words"),
    [
        ("+CSQ: 0,99", -113, "muy débil"),
        ("+CSQ: 5,0", -103, "débil"),
        ("+CSQ: 10,99", -93, "regular"),
        ("+CSQ: 17,99", -79, "buena"),
        ("+CSQ: 31,99", -51, "excelente"),
        ("+CSQ: 99,99", None, "desconocida"),
        ("+CSQ: abc", None, "desconocida"),
    ],
)
def test_signal(line: str, dbm: int | None, words: str) -> None:
    assert replies.signal_dbm((line,)) == dbm
    assert replies.signal_words(dbm) == words


@pytest.mark.parametrize(
    ("line", "expected", "is_registered"),
    [
        ("+CREG: 0,1", Registration.HOME, True),
        ('+CREG: 2,5,"1A2B","03C4",7', Registration.ROAMING, True),
        ("+CREG: 0,6", Registration.HOME, True),
        ("+CREG: 0,0", Registration.IDLE, False),
        ("+CREG: 0,2", Registration.SEARCHING, False),
        ("+CREG: 0,3", Registration.DENIED, False),
        ("+CREG: 0,8", Registration.EMERGENCY, False),
        ("+CREG: 0,77", Registration.UNKNOWN, False),
        ("+CREG:", Registration.UNKNOWN, False),
    ],
)
def test_registration(line: str, expected: Registration, is_registered: bool) -> None:
    assert replies.registration((line,)) is expected
    assert expected.is_registered is is_registered
    assert (expected.problem is None) is is_registered


def test_what_the_network_and_the_memories_say() -> None:
    assert replies.operator(('+COPS: 0,0,"ENTEL PCS",7',)) == "ENTEL PCS"
    assert replies.operator(("+COPS: 0",)) == ""
    assert replies.service_centre(('+CSCA: "+56950000990",145',)) == "+56950000990"
    assert replies.service_centre(('+CSCA: "",129',)) == ""
    offered = replies.memories(('+CPMS: ("SM","ME","SR"),("SM","ME"),("ME")',))
    assert (offered.reading, offered.receiving) == (("SM", "ME", "SR"), ("ME",))
    assert replies.filled(("+CPMS: 3,50,3,50,3,50",)) == (3, 50)
    assert replies.place('"SR", 12') == ("SR", 12)
    assert replies.place("rubbish") is None


def test_a_torn_list_of_texts_keeps_what_is_whole() -> None:
    lines = ("+CMGL: 1,0,,23", "AA", "+CMGL: 2,0,,23", "+CMGL: 7,0,,23", "~", "BB", "CC")
    found = replies.listing(lines, "ME")
    assert found.messages == (Stored("ME", 1, "AA"), Stored("ME", 7, "BB"))
    assert not found.is_whole
    assert replies.listing(("+CMGL: 1,0,,23", "AA"), "ME").is_whole
    assert replies.pdu(("+CMGR: 0,,23", "\xc3(", "AA")) == "AA"


@pytest.mark.parametrize(
    ("answer", "text", "credit"),
    [
        ('0,"Su saldo es $1.234",15', "Su saldo es $1.234", 1234.0),
        ('0,"' + "Saldo: 45 SMS".encode("utf-16-be").hex() + '",72', "Saldo: 45 SMS", 45.0),
        ('0,"' + pack(encode("Saldo: 300 pesos")).hex().upper() + '",15', "Saldo: 300 pesos", 300.0),
        ("4", "", None),
        ('2,"",15', "", None),
    ],
)
def test_balance(answer: str, text: str, credit: float | None) -> None:
    found = replies.ussd_text(answer)
    assert found == text
    assert replies.amount(found) == credit


def test_how_often_the_pin_may_be_tried() -> None:
    assert replies.pin_attempts(("+CPINR: SIM PIN,2,3",)) == 2
    assert replies.pin_attempts(("+SPIC: 1,10,0,10",)) == 1
    assert replies.pin_attempts(("+OTHER: 1",)) is None


# -------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("final", "fault", "permanent"),
    [
        ("+CMS ERROR: 1", Fault.RECIPIENT, True),
        ("+CMS ERROR: 195", Fault.RECIPIENT, True),
        ("+CMS ERROR: 304", Fault.MESSAGE, True),
        ("+CMS ERROR: 8", Fault.SIM, False),
        ("+CMS ERROR: 310", Fault.SIM, False),
        ("+CMS ERROR: 38", Fault.NETWORK, False),
        ("+CMS ERROR: 42", Fault.NETWORK, False),
        ("+CMS ERROR: 500", Fault.MODEM, False),
        ("+CMS ERROR: 9999", Fault.MODEM, False),
        ("+CME ERROR: 10", Fault.SIM, False),
        ("+CME ERROR: SIM busy", Fault.MODEM, False),
        ("ERROR", Fault.MODEM, False),
    ],
)
def test_whose_fault_a_refusal_is(final: str, fault: Fault, permanent: bool) -> None:
    error = refusal(final)
    assert (error.fault, error.permanent, error.maybe_sent) == (fault, permanent, False)
    assert final in str(error)


def test_every_code_has_a_text_and_a_word_does_for_a_number() -> None:
    assert all(cause.text for cause in (*CMS.values(), *CME.values()))
    assert cause_of("+CME ERROR: SIM not inserted") is CME[10]


def test_outcomes_in_reports() -> None:
    assert report_text(0x00) == "entregado"
    assert "venció el plazo" in report_text(0x46)
    assert report_text(0x63) == "no entregado (estado 0x63)"


# --------------------------------------------------------------- rate, references, steps of recovery


def test_the_sim_rests_when_its_burst_is_used_up_and_priority_1_has_a_reserve() -> None:
    bucket = full(per_hour=3600, burst=10, now=0.0)
    assert [bucket.take(1, 0.0, is_urgent=False) for _ in range(8)] == [0.0] * 8
    assert bucket.take(1, 0.0, is_urgent=False) == pytest.approx(1.0)
    assert [bucket.take(1, 0.0, is_urgent=True) for _ in range(2)] == [0.0, 0.0]
    assert bucket.take(1, 0.0, is_urgent=True) == pytest.approx(1.0)
    assert bucket.take(1, 1.0, is_urgent=True) == 0.0
    assert bucket.take(8, 9.0, is_urgent=False) == pytest.approx(2.0)
    assert bucket.take(8, 11.0, is_urgent=False) == 0.0


def test_a_text_larger_than_the_bucket_leaves_when_it_is_full() -> None:
    bucket = full(per_hour=3600, burst=3, now=0.0)
    assert bucket.take(5, 0.0, is_urgent=True) == 0.0
    assert bucket.take(1, 0.0, is_urgent=True) == pytest.approx(3.0)


def test_concat_references_differ_for_256_texts_to_one_phone() -> None:
    concat = ConcatReferences()
    to_one = [concat.next("+56987654321") for _ in range(256)]
    assert sorted(to_one) == list(range(256))
    before = concat.next("+56987654321")
    concat.next("+56998765432")
    assert concat.next("+56987654321") == (before + 1) % 256


@pytest.mark.parametrize("told", ["+56987654321", "987654321", "56987654321", "0056987654321"])
def test_a_report_names_its_part_however_the_network_writes_the_number(told: str) -> None:
    assert part_reference("m1", 7, told) == part_reference("m1", 7, "+56987654321")
    assert "98765" not in part_reference("m1", 7, told)
    assert part_reference("m1", 7, "+56998765432") != part_reference("m1", 7, "+56987654321")


def test_steps_of_recovery() -> None:
    assert [remedy(n) for n in range(1, 9)] == [
        Remedy.REOPEN,
        Remedy.RESET,
        Remedy.REOPEN,
        Remedy.REOPEN,
        Remedy.REOPEN,
        Remedy.REOPEN,
        Remedy.RESET,
        Remedy.REOPEN,
    ]
    assert [is_dead(n) for n in (0, 1, 2, 3, 9)] == [False, False, False, True, True]


def test_a_text_knows_which_answers_are_missing() -> None:
    parts = Parts("m1", "+56987654321", split("x" * 300), [4, None])
    assert not parts.is_known
    parts.fill(9)
    assert parts.names() == (part_reference("m1", 4, parts.to), part_reference("m1", 9, parts.to))


def test_a_report_settles_only_what_it_can_be_of() -> None:
    begun_at = datetime(2026, 11, 26, 1, 0, tzinfo=UTC)
    parts = Parts("m1", "+56987654321", split("Hola"), [None], begun_at)

    def report(recipient: str = "987654321", sent_at: datetime | None = begun_at) -> StatusReport:
        return StatusReport(7, recipient, sent_at, None, 0)

    assert parts.may_adopt(report())
    assert parts.may_adopt(report(sent_at=None))
    assert not parts.may_adopt(report("+56998765432"))
    assert not parts.may_adopt(report(sent_at=begun_at - timedelta(hours=1)))
    parts.fill(7)
    assert not parts.may_adopt(report())
    known = KnownReferences()
    known.add(7, "+56987654321")
    assert known.has(7, "987654321")
    assert not known.has(8, "987654321")


# --------------------------------------------------------------------------------------------- inbox

NOW = datetime(2026, 11, 26, 1, 0, tzinfo=UTC)


def text_at(index: int, text: str) -> Stored:
    return Stored("ME", index, deliver("+56998765432", split(text)[0], at=NOW)[0])


def an_inbox() -> Inbox:
    return Inbox("m1", Assembler())


def test_what_is_in_hand_is_told_once_and_deleted_after_the_commit() -> None:
    inbox = an_inbox()
    for _ in range(3):
        inbox.take(text_at(3, "1 K7"), NOW)
    [arrived] = inbox.take_arrived()
    assert inbox.take_arrived() == []
    assert inbox.to_delete() == []
    inbox.committed(arrived)
    assert inbox.to_delete() == [("ME", 3)]
    inbox.deleted(("ME", 3))
    assert inbox.to_delete() == []


def test_a_place_is_deleted_only_where_this_session_saw_the_same_message() -> None:
    inbox = an_inbox()
    inbox.take(text_at(3, "1 K7"), NOW)
    [arrived] = inbox.take_arrived()
    inbox.start_session()
    inbox.committed(arrived)
    assert inbox.to_delete() == []
    inbox.take(text_at(3, "1 K7"), NOW)
    assert inbox.to_delete() == [("ME", 3)]
    inbox.take(text_at(3, "2 K7"), NOW)  # the deletion was done, its answer lost, the place filled again
    assert inbox.to_delete() == []
    inbox.committed(arrived)
    assert inbox.to_delete() == []
    assert [one.event.text for one in inbox.take_arrived()] == ["2 K7"]  # type: ignore[union-attr]


def test_a_message_that_has_gone_is_forgotten() -> None:
    inbox = an_inbox()
    inbox.take(text_at(3, "1 K7"), NOW)
    [arrived] = inbox.take_arrived()
    inbox.committed(arrived)
    inbox.seen("SM", [])
    assert inbox.to_delete() == [("ME", 3)]
    inbox.seen("ME", [1])
    assert inbox.to_delete() == []


def test_a_message_that_cannot_be_read_is_rubbish() -> None:
    inbox = an_inbox()
    inbox.take(Stored("ME", 1, "00040391FFFFFF"), NOW)
    assert inbox.take_arrived() == []
    assert (inbox.rubbish(), inbox.to_delete()) == ([("ME", 1)], [])


def test_one_text_told_twice_has_one_reference() -> None:
    first, second = an_inbox(), an_inbox()
    for inbox, index in ((first, 1), (second, 9)):
        inbox.take(text_at(index, "1 K7"), NOW)
    [one], [again] = first.take_arrived(), second.take_arrived()
    assert one.event == again.event
