"""One stream for the caller, although its source died half-way and another one took over from the start.

What the caller has seen stays. The new source is compared with it, and what it repeats is swallowed; only when it has
said again all that was shown does anything of it go out, cut where new ground begins. So one that says something else
is found out before the caller sees a piece of it: the two have diverged, and there is no going on.

Compared are the texts of each choice, each as one text however it was cut: content, reasoning, refusal, sound, and of
each tool call its name and its arguments; pictures; and why a choice ended. Some hosts say that before the last words,
so that a choice may grow after its end. Ids are not compared, as no two calls draw the same: the caller keeps those
that it saw first. Nor are the provider's own fields beside the texts (signatures, citations): as many values as were
shown are swallowed, whatever they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from router.core.answer import Answer, Chunk, ChunkChoice, Function, Message, ToolCall

_TEXTS: Final = ("reasoning_content", "content", "refusal")

_TABLES: Final = frozenset({"audio", "function_call"})
"""Fields of `Message.extra` that are an answer in themselves, made of texts that are streamed in pieces."""

_PICTURES: Final = frozenset({"images", "image", "video"})
"""Fields of `Message.extra` that are an answer in themselves; they cannot be cut, but they can be the same again."""

_Name = str | tuple[int | str, str]
"""Of a text: the message's field; or a tool call's position, or the name of a table, and its field."""


def chunks_of(answer: Answer, /) -> tuple[Chunk, ...]:
    """Returns a whole answer as a stream: for each choice all that it says, then why it ended."""
    chunks = []
    for choice in answer.choices:
        said = ChunkChoice(index=choice.index, delta=_delta(choice.message), logprobs=choice.logprobs)
        chunks.append(Chunk(choices=(said,), id=answer.id, model=answer.model))
        if choice.finish_reason is not None:
            end = ChunkChoice(index=choice.index, delta=Message(), finish_reason=choice.finish_reason)
            chunks.append(Chunk(choices=(end,), id=answer.id, model=answer.model))
    return tuple(chunks)


class Resume:
    """Keeps what a caller was shown, and lets through of each source only what comes after it.

    Attributes:
        diverged: whether a source said something else than was shown; nothing goes out from then on.
    """

    __slots__ = ("_again", "_held", "_out", "diverged")

    def __init__(self) -> None:
        self.diverged = False
        self._out: list[Chunk] = []
        self._again: _Again | None = None
        self._held: list[Chunk] = []

    @property
    def shown(self) -> bool:
        """Whether anything that can be seen went out."""
        return any(_visible(choice.delta) for chunk in self._out for choice in chunk.choices)

    @property
    def behind(self) -> bool:
        """Whether the source has not yet said again all that was shown."""
        return self._again is not None and self._again.behind

    def take(self, chunk: Chunk, /) -> tuple[Chunk, ...]:
        """Returns what may go to the caller now that the source has said this, in order."""
        if self._again is None:
            self._out.append(chunk)
            return (chunk,)
        if self.diverged:
            return ()
        rest = self._again.rest(chunk)
        if self._again.differs:
            self.diverged = True
            return ()
        if rest is not None:
            self._held.append(rest)
        return () if self._again.behind else self._release()

    def restart(self) -> None:
        """Begins with a new source, which will say everything from its start."""
        self._held.clear()
        # Where nothing was shown there is nothing to compare, and `take` stays as quick as it was.
        self._again = _Again(self._out) if self._out else None

    def finish(self) -> tuple[Chunk, ...]:
        """Returns what was still held back, now that the source has ended well.

        One that ended before it had said again all texts that were shown has `diverged`.
        """
        if self._again is None or self.diverged:
            return ()
        if self._again.lacks:
            self.diverged = True
            return ()
        return self._release()

    def rest(self, answer: Answer, /) -> tuple[Chunk, ...]:
        """Returns what of a whole answer the caller has not seen, be it the source's own or a new one's.

        Nothing where what was shown is not of this answer (`diverged`).
        """
        if not self._out:
            self._out += chunks_of(answer)
            return tuple(self._out)
        if self.diverged:
            return ()
        to_its_end = not self.behind and self._ended(answer)
        self._again = again = _Again(self._out)
        self._held = [new for chunk in chunks_of(answer) if (new := again.rest(chunk)) is not None]
        if again.differs or again.lacks:
            # A source that was shown to its end may word the whole a little otherwise: the caller has all of it.
            self.diverged = not to_its_end
            return ()
        return self._release()

    def _release(self) -> tuple[Chunk, ...]:
        held, self._held = self._held, []
        self._out += held
        return tuple(held)

    def _ended(self, answer: Answer) -> bool:
        """Returns whether of all choices of an answer the end was shown."""
        ended = {c.index for chunk in self._out for c in chunk.choices if c.finish_reason is not None}
        return all(choice.index in ended for choice in answer.choices)


class _Again:
    """What was shown, and how far a new source has said it again.

    Attributes:
        differs: whether it said something else.
    """

    __slots__ = ("_choices", "differs")

    def __init__(self, shown: Iterable[Chunk]) -> None:
        self.differs = False
        self._choices: dict[int, _Choice] = {}
        for chunk in shown:
            for choice in chunk.choices:
                self._of(choice).note(choice)
        for known in self._choices.values():
            known.close()

    @property
    def lacks(self) -> bool:
        """Whether something that was said has not been said again."""
        return any(choice.lacks for choice in self._choices.values())

    @property
    def behind(self) -> bool:
        """Whether something that was shown has not been said again, be it only that a choice has ended."""
        return any(choice.behind for choice in self._choices.values())

    def rest(self, chunk: Chunk) -> Chunk | None:
        """Returns what is new in a chunk; None where nothing is."""
        choices = []
        for choice in chunk.choices:
            known = self._of(choice)
            rest = known.rest(choice)
            self.differs = self.differs or known.differs
            if rest is not None:
                choices.append(rest)
        return replace(chunk, choices=tuple(choices)) if choices else None

    def _of(self, choice: ChunkChoice) -> _Choice:
        known = self._choices.get(choice.index)
        if known is None:
            known = self._choices[choice.index] = _Choice()
        return known


@dataclass(slots=True)
class _Text:
    """One text as it was shown, and how many of its characters were said again."""

    pieces: list[str] = field(default_factory=list)
    whole: str = ""
    again: int = 0


@dataclass(slots=True)
class _Call:
    """What was shown of a tool call besides its texts, and whether the new source has begun it too."""

    id: str = ""
    extra: set[str] = field(default_factory=set)
    again: bool = False


@dataclass(slots=True)
class _Field:
    """The values shown of one of the provider's own fields, and how many came again."""

    values: list[Any] = field(default_factory=list)
    again: int = 0


class _Choice:
    """One choice: first `note` all that was shown of it, then `close`, then `rest` for all that is said again."""

    __slots__ = ("_begun", "_calls", "_end", "_ended", "_fields", "_heads", "_texts", "differs")

    def __init__(self) -> None:
        self.differs = False
        self._texts: dict[_Name, _Text] = {}
        self._calls: dict[int, _Call] = {}
        self._fields: dict[str, _Field] = {}
        self._heads: set[tuple[str, str]] = set()  # what was shown of tables besides texts
        self._begun = 0  # tool calls of the source that speaks
        self._end: str | None = None
        self._ended = False

    @property
    def lacks(self) -> bool:
        """Whether something that was said has not been said again."""
        return (
            any(text.again < len(text.whole) for text in self._texts.values())
            or not all(call.again for call in self._calls.values())
            or any(f.again < len(f.values) for name, f in self._fields.items() if name in _PICTURES)
        )

    @property
    def behind(self) -> bool:
        """Whether something that was shown has not been said again, be it only that the choice has ended."""
        return self.lacks or (self._end is not None and not self._ended)

    def note(self, choice: ChunkChoice) -> None:
        """Notes what was shown."""
        delta = choice.delta
        for name in _TEXTS:
            piece = getattr(delta, name)
            if piece is not None:
                self._note(name, piece)
        for said in delta.tool_calls or ():
            position = self._position(said)
            call = self._calls.setdefault(position, _Call())
            call.id = call.id or said.id
            call.extra |= said.extra.keys()
            self._note((position, "name"), said.function.name)
            self._note((position, "arguments"), said.function.arguments)
        for name, value in delta.extra.items():
            if not _is_table(name, value):
                self._fields.setdefault(name, _Field()).values += _values(value)
                continue
            for key, part in value.items():
                if _is_text(key, part):
                    self._note((name, key), part)
                else:
                    self._heads.add((name, key))
        self._end = self._end or choice.finish_reason

    def close(self) -> None:
        """Ends what was shown; a new source begins."""
        self._begun = 0
        for text in self._texts.values():
            text.whole = "".join(text.pieces)

    def rest(self, choice: ChunkChoice) -> ChunkChoice | None:
        """Returns what is new in a piece; None where nothing is."""
        delta, repeats = choice.delta, self.behind
        calls = [call for said in delta.tool_calls or () if (call := self._cut_call(said)) is not None]
        extra = {name: rest for name, value in delta.extra.items() if (rest := self._cut_field(name, value))}
        new = Message(
            role=delta.role,
            content=self._cut("content", delta.content),
            tool_calls=tuple(calls) or None,
            refusal=self._cut("refusal", delta.refusal),
            reasoning_content=self._cut("reasoning_content", delta.reasoning_content),
            extra=extra,
        )
        # Log probabilities are those of whole tokens: a piece that is cut loses them.
        whole = new.written == delta.written and (bool(new.written) or not repeats)
        logprobs, end = choice.logprobs if whole else None, choice.finish_reason
        if end is not None and self._end is not None:
            self.differs = self.differs or end != self._end
            self._ended, end = True, None
        if self._end is not None and not new.written:
            return None  # what the answer has beside its words is of no use after its end
        if logprobs is None and end is None and new == Message(role=delta.role):
            return None
        return ChunkChoice(index=choice.index, delta=new, finish_reason=end, logprobs=logprobs)

    def _note(self, name: _Name, piece: str) -> None:
        self._texts.setdefault(name, _Text()).pieces.append(piece)

    def _cut(self, name: _Name, piece: str | None) -> str | None:
        """Returns the end of a piece of a text that was not shown; None where there is none."""
        text = self._texts.get(name)
        if piece is None or text is None:
            return piece
        left = len(text.whole) - text.again
        if len(piece) < left:
            self.differs = self.differs or not text.whole.startswith(piece, text.again)
            text.again += len(piece)
            return None
        self.differs = self.differs or not piece.startswith(text.whole[text.again :])
        text.again += left
        return piece[left:] or None

    def _cut_call(self, said: ToolCall) -> ToolCall | None:
        """Returns what is new in a piece of a tool call; its head is not repeated."""
        position = self._position(said)
        name = self._cut((position, "name"), said.function.name)
        arguments = self._cut((position, "arguments"), said.function.arguments)
        shown = self._calls.get(position)
        if shown is None:
            return replace(said, index=position)
        shown.again = True
        # Names come in one piece, so that one which goes on is another name.
        self.differs = self.differs or bool(name and self._texts[position, "name"].whole)
        call_id = "" if shown.id else said.id
        extra = {key: value for key, value in said.extra.items() if key not in shown.extra}
        if not (name or arguments or call_id or extra):
            return None
        function = Function(name=name or "", arguments=arguments or "")
        return ToolCall(id=call_id, function=function, type=said.type, index=position, extra=extra)

    def _cut_field(self, name: str, value: Any) -> Any:
        """Returns what is new of one of the provider's own fields; nothing where nothing is."""
        if _is_table(name, value):
            parts = {key: self._cut((name, key), part) if _is_text(key, part) else part for key, part in value.items()}
            return {key: part for key, part in parts.items() if part is not None and (name, key) not in self._heads}
        shown = self._fields.get(name)
        if shown is None:
            return value
        values = _values(value)
        before = shown.values[shown.again : shown.again + len(values)]
        shown.again += len(before)
        if name in _PICTURES:
            self.differs = self.differs or before != values[: len(before)]
        elif not isinstance(value, list):
            return None  # an object or a text, of which nobody can tell what is new
        rest = values[len(before) :]
        return rest if isinstance(value, list) or not rest else value

    def _position(self, call: ToolCall) -> int:
        """Returns the position of the call that a piece belongs to.

        Pieces without an index are those of sources that give each call whole, or one after the other.
        """
        if call.index is not None:
            position = call.index
        else:
            begins = bool(call.id or call.function.name) or not self._begun
            position = self._begun if begins else self._begun - 1
        self._begun = max(self._begun, position + 1)
        return position


def _delta(message: Message) -> Message:
    """Returns a whole message as a delta: its tool calls are numbered."""
    if not message.tool_calls:
        return message
    calls = [replace(call, index=position) for position, call in enumerate(message.tool_calls)]
    return replace(message, tool_calls=tuple(calls))


def _is_table(name: str, value: object) -> bool:
    return name in _TABLES and isinstance(value, Mapping)


def _is_text(key: str, part: object) -> bool:
    return key != "id" and isinstance(part, str)


def _values(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _visible(delta: Message) -> bool:
    return bool(delta.written or delta.tool_calls) or any(n in _TABLES or n in _PICTURES for n in delta.extra)
