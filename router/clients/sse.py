"""Server-sent events: bytes in, events out.

Follows the WHATWG HTML standard, section 9.2.6 "Interpreting an event stream"
(https://html.spec.whatwg.org/multipage/server-sent-events.html), with one leniency that providers make necessary: an
event at the very end of a stream counts without its closing blank line.
"""

from __future__ import annotations

from dataclasses import dataclass, field

DONE = "[DONE]"
"""The data of the event that ends an OpenAI stream; not JSON."""

_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event; `name` is empty where the stream gave none."""

    data: str = field(repr=False)
    name: str = ""


class Decoder:
    r"""Cuts a byte stream into events, whatever the sizes of its pieces.

    >>> decoder = Decoder()
    >>> [event.data for event in decoder.feed(b"data: on")]
    []
    >>> [event.data for event in decoder.feed(b"e\n\ndata: two\n\n")]
    ['one', 'two']
    """

    __slots__ = ("_begun", "_data", "_held", "_name")

    def __init__(self) -> None:
        self._begun = False
        self._held: list[bytes] = []
        self._data: list[bytes] = []
        self._name = b""

    def feed(self, piece: bytes, /) -> list[Event]:
        """Returns the events that this piece completes, in order."""
        # Pieces of an unfinished line are joined once, at its end: an image of 20 MB comes in 300 of them.
        self._held.append(piece)
        if self._begun and b"\n" not in piece and b"\r" not in piece and self._held[0][-1:] != b"\r":
            return []
        text = b"".join(self._held)
        if not self._begun:
            if len(text) < len(_BOM) and _BOM.startswith(text):
                return []
            self._begun = True
            text = text.removeprefix(_BOM)
        # A CR at the end may be the first half of CRLF: it waits for the next piece.
        half = b"\r" if text.endswith(b"\r") else b""
        lines = _lines(text.removesuffix(half))
        self._held = [lines.pop() + half]
        return [event for line in lines if (event := self._line(line)) is not None]

    def end(self) -> list[Event]:
        """Returns the event left over when the stream ends, if there is one; the decoder is then as new."""
        events = self.feed(b"\n\n")
        self._begun = False
        self._held = []
        return events

    def _line(self, line: bytes) -> Event | None:
        if not line:
            return self._dispatch()
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        match name:
            case b"data":
                self._data.append(value)
            case b"event":
                self._name = value
            case _:
                # Comments (an empty name), `id`, `retry` and unknown fields: nothing to a client that never reconnects.
                pass
        return None

    def _dispatch(self) -> Event | None:
        data, name = self._data, self._name
        self._data, self._name = [], b""
        if not data:
            return None
        return Event(data=b"\n".join(data).decode("utf-8", "replace"), name=name.decode("utf-8", "replace"))


def _lines(text: bytes) -> list[bytes]:
    """Returns the lines of a text, the unfinished last one included (empty where the text ends with a line's end)."""
    # bytes.splitlines splits at CR, LF and CRLF, and at nothing else.
    lines = text.splitlines()
    if not text or text.endswith((b"\n", b"\r")):
        lines.append(b"")
    return lines
