"""The MQTT codec: hand-made vectors, paho's bytes as a second opinion, and any chunking of any stream."""

import socket
from collections.abc import Iterator, Sequence
from itertools import pairwise

import paho.mqtt.client as paho
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from hub.mqtt import codec, packets
from hub.mqtt.codec import CUT_BYTES, Decoder
from hub.mqtt.errors import ProtocolError
from hub.mqtt.packets import (
    ConnAck,
    Disconnect,
    Message,
    Packet,
    PingResp,
    PubAck,
    SubAck,
    Version,
)
from hub.mqtt.properties import read_length, write_length

VERSIONS: tuple[Version, ...] = (4, 5)
LIMIT_BYTES = 400


def decode(version: Version, stream: bytes, limit_bytes: int = LIMIT_BYTES) -> list[Packet]:
    return Decoder(version, limit_bytes).feed(stream)


def in_chunks(version: Version, chunks: Sequence[bytes]) -> list[Packet] | None:
    """What comes out, or None when the stream is refused."""
    decoder, out = Decoder(version, LIMIT_BYTES), []
    try:
        for chunk in chunks:
            out += decoder.feed(chunk)
    except ProtocolError:
        return None
    return out


def cut(stream: bytes, places: Sequence[int]) -> list[bytes]:
    edges = sorted({0, len(stream), *(place % (len(stream) + 1) for place in places)})
    return [stream[a:b] for a, b in pairwise(edges)]


def one_by_one(stream: bytes) -> list[bytes]:
    return [stream[i : i + 1] for i in range(len(stream))]


# ---------------------------------------------------------------------------------- what is received

# Written by hand from the tables of MQTT 3.1.1 and 5.
RECEIVED: list[tuple[Version, bytes, Packet]] = [
    (4, b"\x20\x02\x01\x00", ConnAck(True, 0)),
    (4, b"\x20\x02\x00\x05", ConnAck(False, 5)),
    (5, b"\x20\x09\x00\x00\x06\x21\x00\x14\x22\x00\x0a", ConnAck(False, 0, {0x21: 20, 0x22: 10})),
    (5, b"\x20\x08\x00\x86\x05\x1f\x00\x02no", ConnAck(False, 0x86, {0x1F: "no"})),
    (5, b"\x20\x02\x00\x01", ConnAck(False, 1)),  # a 3.1.1 broker refusing version 5
    (4, b"\x90\x04\x00\x0a\x01\x80", SubAck(10, b"\x01\x80")),
    (5, b"\x90\x05\x00\x0a\x00\x01\x87", SubAck(10, b"\x01\x87")),
    (4, b"\x40\x02\x01\x02", PubAck(0x0102)),
    (5, b"\x40\x02\x01\x02", PubAck(0x0102)),
    (5, b"\x40\x03\x01\x02\x87", PubAck(0x0102, 0x87)),
    (5, b"\x40\x0d\x01\x02\x97\x09\x26\x00\x01a\x00\x03bcd", PubAck(0x0102, 0x97, {0x26: "bcd"})),
    (4, b"\xd0\x00", PingResp()),
    (5, b"\xe0\x00", Disconnect(0)),
    (5, b"\xe0\x01\x8e", Disconnect(0x8E)),
    (5, b"\xe0\x08\x8b\x06\x1f\x00\x03bye", Disconnect(0x8B, {0x1F: "bye"})),
    (4, b"\x30\x06\x00\x03a/bx", Message("a/b", b"x", 0, False, False, None)),
    (4, b"\x3b\x07\x00\x03a/b\x00\x07", Message("a/b", b"", 1, True, True, 7)),
    (5, b"\x32\x0e\x00\x03a/b\x00\x07\x05\x02\x00\x00\x00\x3cx", Message("a/b", b"x", 1, False, False, 7)),
]


@pytest.mark.parametrize(("version", "stream", "packet"), RECEIVED)
def test_reads_what_the_tables_say(version: Version, stream: bytes, packet: Packet) -> None:
    assert decode(version, stream) == [packet]
    assert in_chunks(version, one_by_one(stream)) == [packet]


MALFORMED: dict[str, tuple[Version, bytes, str]] = {
    "not MQTT at all": (5, b"HTTP/1.1 400 Bad Request", "unexpected packet type 0x48"),
    "a client's packet": (5, packets.connect(5, "x", keepalive_s=9, clean_start=True), "type 0x10"),
    "flags on a PUBACK": (4, b"\x41\x02\x00\x01", "type 0x41"),
    "a length of five bytes": (4, b"\x30\xff\xff\xff\xff\x01", "more than four"),
    "QoS 2": (4, b"\x34\x07\x00\x03a/b\x00\x07", "QoS above"),
    "QoS 3": (4, b"\x36\x07\x00\x03a/b\x00\x07", "QoS above"),
    "packet id 0": (4, b"\x32\x07\x00\x03a/b\x00\x00", "packet id 0"),
    "PUBACK of id 0": (4, b"\x40\x02\x00\x00", "packet id 0"),
    "no topic": (4, b"\x30\x03\x00\x00x", "without a topic"),
    "topic beyond the packet": (4, b"\x30\x05\x00\x09a/b", "shorter"),
    "topic into the next packet": (4, b"\x30\x04\x00\x04a/\xd0\x00", "shorter"),
    "properties beyond the packet": (5, b"\x30\x05\x00\x02ab\x05" + bytes(9), "shorter"),
    "topic that is no UTF-8": (4, b"\x30\x04\x00\x02\xff\xfe", "malformed"),
    "empty CONNACK": (4, b"\x20\x00", "malformed"),
    "empty PUBACK": (5, b"\x40\x00", "malformed"),
    "SUBACK without codes": (5, b"\x90\x03\x00\x0a\x00", "without reason codes"),
    "unknown property": (5, b"\x20\x05\x00\x00\x02\x7f\x00", "unknown property 0x7F"),
    "property cut short": (5, b"\x20\x05\x00\x00\x02\x21\x00", "longer than its packet"),
    "properties cut short": (5, b"\x20\x04\x00\x00\x07\x21", "longer than their packet"),
    "PINGRESP with a body": (5, b"\xd0\x01\x00", "PINGRESP"),
    "DISCONNECT in 3.1.1": (4, b"\xe0\x00", "type 0xE0"),
    "endless SUBACK": (5, b"\x90\xff\xff\xff\x7f", "268435455 bytes"),
    "endless PUBLISH with a cut topic": (5, b"\x30\x91\x03" + b"\xff\xff" + bytes(500), "malformed"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_refuses_what_breaks_the_protocol(case: str) -> None:
    version, stream, complaint = MALFORMED[case]
    with pytest.raises(ProtocolError, match=complaint):
        decode(version, stream)
    assert in_chunks(version, one_by_one(stream)) is None


# -------------------------------------------------------------------------------------- any chunking

# No surrogates: they have no UTF-8.
texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30)


@st.composite
def publishes(draw: st.DrawFn, version: Version) -> tuple[bytes, Packet]:
    topic, payload = draw(texts), draw(st.binary(max_size=300) | st.binary(min_size=500, max_size=1500))
    qos, retain = draw(st.integers(0, 1)), draw(st.booleans())
    dup = bool(qos) and draw(st.booleans())
    packet_id = draw(st.integers(1, 0xFFFF)) if qos else None
    expiry_s = draw(st.none() | st.integers(0, 2**32 - 1))
    stream = packets.publish(
        version,
        topic,
        payload,
        qos=qos,
        retain=retain,
        dup=dup,
        packet_id=packet_id,
        message_expiry_s=expiry_s,
    )
    length, _ = read_length(stream, 1)
    is_over = length > LIMIT_BYTES
    kept = payload[:CUT_BYTES] if is_over else payload
    size = len(payload) if is_over else 0
    return stream, Message(topic, kept, qos, retain, dup, packet_id, size)


def others(version: Version) -> st.SearchStrategy[tuple[bytes, Packet]]:
    return st.sampled_from([(stream, packet) for v, stream, packet in RECEIVED if v == version])


@st.composite
def streams(draw: st.DrawFn) -> tuple[Version, list[tuple[bytes, Packet]]]:
    version = draw(st.sampled_from(VERSIONS))
    return version, draw(st.lists(publishes(version) | others(version), max_size=8))


@given(streams(), st.lists(st.integers(min_value=0), max_size=12))
def test_every_chunking_gives_the_same_packets(
    made: tuple[Version, list[tuple[bytes, Packet]]], places: list[int]
) -> None:
    version, parts = made
    stream, expected = b"".join(s for s, _ in parts), [p for _, p in parts]
    assert decode(version, stream) == expected
    assert in_chunks(version, cut(stream, places)) == expected
    assert in_chunks(version, one_by_one(stream)) == expected


@given(streams(), st.lists(st.tuples(st.integers(min_value=0), st.integers(0, 255)), max_size=4))
def test_a_damaged_stream_is_read_or_refused_alike_in_every_chunking(
    made: tuple[Version, list[tuple[bytes, Packet]]], damages: list[tuple[int, int]]
) -> None:
    version, parts = made
    stream = bytearray(b"".join(s for s, _ in parts))
    for place, value in damages:
        if stream:
            stream[place % len(stream)] = value
    assert in_chunks(version, one_by_one(bytes(stream))) == in_chunks(version, [bytes(stream)])


@given(st.sampled_from(VERSIONS), st.binary(max_size=200))
@example(4, b"\x00\x80\x00\x80")  # a length written longer than it need be
def test_noise_is_refused_or_waited_out(version: Version, noise: bytes) -> None:
    assert in_chunks(version, one_by_one(noise)) == in_chunks(version, [noise])


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("chunk_bytes", [1_000, 65_536, 10_000_000])
def test_a_message_above_the_limit_is_cut_and_the_next_one_whole(version: Version, chunk_bytes: int) -> None:
    payload = bytes(range(256)) * 12_000
    stream = (
        packets.publish(version, "a/b", b"before", qos=1, packet_id=1)
        + packets.publish(version, "a/b", payload, qos=1, packet_id=2, retain=True)
        + packets.publish(version, "a/b", b"after", qos=0)
    )
    decoder = Decoder(version)
    got = [
        packet
        for at in range(0, len(stream), chunk_bytes)
        for packet in decoder.feed(stream[at : at + chunk_bytes])
    ]
    assert got == [
        Message("a/b", b"before", 1, False, False, 1),
        Message("a/b", payload[:CUT_BYTES], 1, True, False, 2, len(payload)),
        Message("a/b", b"after", 0, False, False, None),
    ]


def test_a_message_with_endless_properties_is_handed_over_too() -> None:
    pair = b"\x26\x00\x01a\x00\x05value"
    properties = write_length(30_000 * len(pair)) + 30_000 * pair
    body = b"\x00\x03a/b\x00\x07" + properties + b"x"
    stream = b"\x32" + write_length(len(body)) + body
    assert decode(5, stream + b"\xd0\x00") == [
        Message("a/b", b"", 1, False, False, 7, len(body)),
        PingResp(),
    ]


def test_a_discarded_body_takes_no_memory() -> None:
    decoder = Decoder(5)
    decoder.feed(b"\x30" + write_length(200_000_000) + b"\x00\x03a/b\x00" + bytes(200_000))
    for _ in range(100):
        assert decoder.feed(bytes(100_000)) == []
    assert decoder._held == 0


# -------------------------------------------------------------------------------------- what is sent


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)
        yield server


@pytest.mark.parametrize("version", VERSIONS)
def test_connect_and_publish_are_the_bytes_that_paho_sends(version: Version, listener: socket.socket) -> None:
    client = paho.Client(
        paho.CallbackAPIVersion.VERSION2,
        "hub-1",
        protocol=paho.MQTTv5 if version == 5 else paho.MQTTv311,
        **({} if version == 5 else {"clean_session": False}),
    )
    client.username_pw_set("hub", "contraseña")
    extra: dict[str, object] = {}
    if version == 5:
        wanted = Properties(PacketTypes.CONNECT)
        wanted.SessionExpiryInterval, wanted.ReceiveMaximum, wanted.TopicAliasMaximum = 86_400, 0xFFFF, 0
        extra = {"clean_start": False, "properties": wanted}
    client.connect("127.0.0.1", listener.getsockname()[1], keepalive=30, **extra)
    peer, _ = listener.accept()
    with peer:
        assert peer.recv(4096) == packets.connect(
            version,
            "hub-1",
            keepalive_s=30,
            clean_start=False,
            session_expiry_s=86_400,
            username="hub",
            password="contraseña",
        )
        peer.sendall(b"\x20\x03\x00\x00\x00" if version == 5 else b"\x20\x02\x00\x00")
        client.loop()
        expiry = Properties(PacketTypes.PUBLISH)
        expiry.MessageExpiryInterval = 60
        sent = client.publish("a/ñ", b"x" * 300, 1, retain=True, properties=expiry if version == 5 else None)
        client.loop()
        assert peer.recv(4096) == packets.publish(
            version, "a/ñ", b"x" * 300, qos=1, retain=True, packet_id=sent.mid, message_expiry_s=60
        )
        client.subscribe([("a/+", 1), ("b/#", 1)])
        client.loop()
        assert peer.recv(4096) == packets.subscribe(version, sent.mid + 1, ["a/+", "b/#"])
    client.loop_misc()
    client.disconnect()


@given(st.lists(st.integers(1, 0xFFFF), max_size=50))
def test_pubacks_read_back_in_order(ids: list[int]) -> None:
    assert decode(4, packets.pubacks(ids)) == [PubAck(packet_id) for packet_id in ids]


@given(st.integers(0, 268_435_455))
def test_lengths_read_back(value: int) -> None:
    stream = write_length(value)
    assert read_length(stream, 0) == (value, len(stream))
    assert len(stream) <= 4


def test_what_does_not_fit_is_an_error_of_the_caller() -> None:
    with pytest.raises(ValueError, match="65,535"):
        packets.connect(5, "x" * 70_000, keepalive_s=30, clean_start=True)
    assert codec.DEFAULT_LIMIT_BYTES > 1024 * 1024
