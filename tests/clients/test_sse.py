from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from router.clients.sse import Decoder, Event

LINES = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=12)
NAMES = st.sampled_from(["", "error", "message_delta", "ping"])
EVENTS = st.lists(st.tuples(NAMES, st.lists(LINES, min_size=1, max_size=3)), max_size=6)
ENDS = st.sampled_from(["\n", "\r", "\r\n"])


def decode(pieces: list[bytes]) -> list[Event]:
    """Returns all events of a stream that comes in these pieces."""
    decoder = Decoder()
    events = [event for piece in pieces for event in decoder.feed(piece)]
    return events + decoder.end()


def split(text: bytes, places: list[int]) -> list[bytes]:
    """Returns a text cut at the places that lie inside it."""
    bounds = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]
    return [text[start:end] for start, end in pairwise(bounds)]


@given(EVENTS, ENDS, st.lists(st.integers(0, 10_000), max_size=20), st.booleans(), st.booleans())
def test_reads_back_what_was_written_however_it_is_cut(
    written: list[tuple[str, list[str]]], end: str, places: list[int], bom: bool, comments: bool
) -> None:
    """Events survive any cut of the bytes, any line end, a byte order mark and comments between them."""
    text = "\ufeff" if bom else ""
    for name, lines in written:
        text += f": still there{end}" if comments else ""
        text += f"event: {name}{end}" if name else ""
        text += "".join(f"data: {line}{end}" for line in lines) + end
    expected = [Event(name=name, data="\n".join(lines)) for name, lines in written]
    assert decode(split(text.encode(), places)) == expected


@given(st.binary(max_size=80), st.lists(st.integers(0, 100), max_size=10))
def test_pieces_do_not_matter_for_any_bytes(text: bytes, places: list[int]) -> None:
    """Whatever the bytes, the events are those of the text in one piece."""
    assert decode(split(text, places)) == decode([text])


@given(st.binary(max_size=60))
def test_an_end_makes_a_decoder_as_new(text: bytes) -> None:
    """After its end a decoder reads the next stream as a new one would."""
    decoder = Decoder()
    decoder.feed(text)
    decoder.end()
    assert decoder.feed(b"\xef\xbb\xbfdata: x\n\n") == [Event(data="x")]


def test_follows_the_standard_in_its_examples() -> None:
    """Spaces after the colon, empty data, a name without data and unknown fields are read as the standard says."""
    text = b"data:no space\n\ndata\n\ndata:  two\n\nevent: lonely\n\nid: 7\nretry: 3\nother: x\ndata: y\n\n"
    assert decode([text]) == [
        Event(data="no space"),
        Event(data=""),
        Event(data=" two"),
        Event(data="y"),
    ]


def test_the_last_event_needs_no_blank_line() -> None:
    """A stream that ends right after its last line has that event too."""
    assert decode([b"data: a\n\nevent: error\ndata: b"]) == [Event(data="a"), Event(name="error", data="b")]


def test_a_carriage_return_at_the_end_of_a_piece_waits_for_its_line_feed() -> None:
    """CRLF torn in two is one line end, so no event is closed by its halves."""
    assert decode([b"data: a\r", b"\ndata: b\r", b"\n\r", b"\n"]) == [Event(data="a\nb")]


def test_bytes_that_are_no_text_are_replaced() -> None:
    """Broken UTF-8 is no exception: the broken places are marked."""
    assert decode([b"data: \xff\xfe\n\n"]) == [Event(data="\ufffd\ufffd")]
