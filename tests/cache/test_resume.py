"""Streams that go on with another source: nothing twice, nothing lost, and nothing of one that says something else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any, NamedTuple

import orjson
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from router.cache.resume import Resume, chunks_of
from router.clients import anthropic, cohere, gemini
from router.clients.openai_stream import Joiner
from router.clients.sse import Decoder
from router.core.answer import Answer, Choice, Chunk, ChunkChoice, Function, Message, ToolCall
from router.testing.scripted import answer
from tests.replay.server import cassettes, recording_of

TEXTS = ("reasoning_content", "content", "refusal")
# Two letters only, so that one answer is often the beginning of another.
WORDS = st.text("ab", max_size=6)
CALLS = st.builds(
    ToolCall,
    id=st.uuids(version=4).map(str),
    function=st.builds(Function, name=st.sampled_from(["look", "look_up"]), arguments=WORDS),
)
MESSAGES = st.builds(
    Message,
    content=st.none() | WORDS,
    refusal=st.none() | WORDS,
    reasoning_content=st.none() | WORDS,
    tool_calls=st.none() | st.lists(CALLS, min_size=1, max_size=2).map(tuple),
)
ANSWERS = st.lists(st.tuples(MESSAGES, st.sampled_from(["stop", "length", None])), min_size=1, max_size=2).map(
    lambda said: Answer(
        choices=tuple(Choice(index=i, message=m, finish_reason=end) for i, (m, end) in enumerate(said)),
        id="answer",
        model="small",
    )
)
MOST_ROWS = 25  # of each host
RANDOMS = st.randoms(use_true_random=False)


def pieces(text: str, random: Random) -> list[str]:
    """Returns a text cut at random places, at least one piece."""
    places = sorted(random.randint(0, len(text)) for _ in range(random.randint(0, 3)))
    return [text[start:end] for start, end in zip([0, *places], [*places, len(text)], strict=True)]


def call(position: int | None, arguments: str, *, call_id: str = "", name: str = "") -> ToolCall:
    """Returns a piece of a tool call."""
    return ToolCall(id=call_id, function=Function(name=name, arguments=arguments), index=position)


def delta(index: int = 0, end: str | None = None, logprobs: Any = None, **fields: Any) -> ChunkChoice:
    """Returns a piece of a choice."""
    return ChunkChoice(index=index, delta=Message(**fields), finish_reason=end, logprobs=logprobs)


def chunk(index: int = 0, end: str | None = None, logprobs: Any = None, **fields: Any) -> Chunk:
    """Returns a piece of one choice as a chunk."""
    return Chunk(choices=(delta(index, end, logprobs, **fields),))


def cut(whole: Answer, random: Random) -> list[Chunk]:
    """Returns an answer as some provider might stream it: texts cut anywhere, and mingled with each other."""
    lanes: list[list[ChunkChoice]] = []
    for choice in whole.choices:
        message, index = choice.message, choice.index
        for name in TEXTS:
            text = getattr(message, name)
            if text is not None:
                lanes.append([delta(index, **{name: piece}) for piece in pieces(text, random)])
        for position, said in enumerate(message.tool_calls or ()):
            first, *others = pieces(said.function.arguments, random)
            head = call(position, first, call_id=said.id, name=said.function.name)
            lanes.append([delta(index, tool_calls=(c,)) for c in (head, *(call(position, o) for o in others))])
        if choice.finish_reason is not None:
            # Mostly last; but there are hosts that say it too early.
            lanes.append([delta(index, choice.finish_reason)])
    mingled: list[ChunkChoice] = []
    while lanes:
        lane = random.choice(lanes)
        mingled.append(lane.pop(0))
        if not lane:
            lanes.remove(lane)
    chunks = []
    while mingled:
        count = random.randint(1, 3)
        chunks.append(Chunk(choices=tuple(mingled[:count]), id=whole.id, model=whole.model))
        mingled = mingled[count:]
    return chunks


class Said(NamedTuple):
    """What was said in one choice, by text, and why it ended."""

    texts: dict[Any, str]
    ends: list[str]


def said(chunks: Sequence[Chunk]) -> dict[int, Said]:
    """Returns what chunks say together; what says nothing is left out."""
    out: dict[int, Said] = {}
    for choice in (choice for chunk in chunks for choice in chunk.choices):
        texts, ends = out.setdefault(choice.index, Said({}, []))
        written: list[tuple[Any, str | None]] = [(name, getattr(choice.delta, name)) for name in TEXTS]
        for c in choice.delta.tool_calls or ():
            written += [((c.index, "name"), c.function.name), ((c.index, "arguments"), c.function.arguments)]
        for name, text in written:
            if text:
                texts[name] = texts.get(name, "") + text
        ends += [choice.finish_reason] if choice.finish_reason is not None else []
    return {index: one for index, one in out.items() if one.texts or one.ends}


def taken(resume: Resume, chunks: Sequence[Chunk]) -> list[Chunk]:
    """Returns what goes to the caller of these chunks."""
    return [piece for chunk in chunks for piece in resume.take(chunk)]


def resumed(*chunks: Chunk) -> Resume:
    """Returns what has shown these chunks, before a new source speaks."""
    resume = Resume()
    taken(resume, chunks)
    resume.restart()
    return resume


def renamed(whole: Answer) -> Answer:
    """Returns an answer with other ids, as another call would have it."""

    def other(message: Message) -> Message:
        calls = message.tool_calls
        return replace(message, tool_calls=calls and tuple(replace(c, id=f"{c.id}'") for c in calls))

    return replace(whole, choices=tuple(replace(c, message=other(c.message)) for c in whole.choices))


@given(whole=ANSWERS, random=RANDOMS, crashes=st.integers(1, 4))
def test_the_caller_sees_one_answer(whole: Answer, random: Random, crashes: int) -> None:
    """Sources that cut the answer in any way die at any point: what was shown together is the answer, nothing twice."""
    resume, out = Resume(), []
    for _ in range(crashes):
        chunks = cut(renamed(whole) if random.random() < 0.5 else whole, random)
        out += taken(resume, chunks[: random.randint(0, len(chunks))])
        assert not resume.diverged
        resume.restart()
    out += taken(resume, cut(whole, random))
    assert not resume.behind
    assert resume.finish() == ()
    assert not resume.diverged
    assert said(out) == said(chunks_of(whole))
    choices = [choice for chunk in out for choice in chunk.choices]
    ids = [(choice.index, c.index) for choice in choices for c in choice.delta.tool_calls or () if c.id]
    assert len(ids) == len(set(ids))


@given(whole=ANSWERS, random=RANDOMS, again=st.booleans())
def test_a_whole_answer_adds_what_was_not_shown(whole: Answer, random: Random, again: bool) -> None:
    """Where a source has its whole answer at once, its own rest or a new one's, the caller gets what it lacks."""
    resume, chunks = Resume(), cut(whole, random)
    out = taken(resume, chunks[: random.randint(0, len(chunks))])
    if again:
        resume.restart()
        out += taken(resume, chunks[: random.randint(0, len(chunks))])
    out += resume.rest(whole)
    assert not resume.diverged
    assert said(out) == said(chunks_of(whole))
    assert said(resume.rest(whole)) == {}


@given(whole=ANSWERS, random=RANDOMS, streamed=st.booleans())
def test_another_character_is_found_out(whole: Answer, random: Random, streamed: bool) -> None:
    """A source that says one character otherwise that was shown has diverged, and nothing of it went out."""
    chunks = cut(whole, random)
    shown = chunks[: random.randint(0, len(chunks))]
    places = [(i, name, text) for i, one in said(shown).items() for name, text in one.texts.items() if name in TEXTS]
    assume(places)
    index, name, text = random.choice(places)
    place = random.randrange(len(text))
    choice = whole.choices[index]
    old = getattr(choice.message, name)
    new = old[:place] + "c" + old[place + 1 :]
    choices = list(whole.choices)
    choices[index] = replace(choice, message=replace(choice.message, **{name: new}))
    other = replace(whole, choices=tuple(choices))
    resume = resumed(*shown)
    if streamed:
        assert taken(resume, cut(other, random)) == []
    else:
        assert resume.rest(other) == ()
    assert resume.diverged


@given(first=ANSWERS, second=ANSWERS, random=RANDOMS)
def test_no_two_answers_are_mingled(first: Answer, second: Answer, random: Random) -> None:
    """Of two answers the caller has seen a part of the first, or the whole second: never something of both."""
    chunks = cut(first, random)
    shown = chunks[: random.randint(0, len(chunks))]
    resume = resumed(*shown)
    out = taken(resume, cut(second, random))
    out += resume.finish()
    if resume.diverged:
        assert out == []
        assert taken(resume, chunks) == []
        return
    texts = {index: one.texts for index, one in said([*shown, *out]).items() if one.texts}
    assert texts == {index: one.texts for index, one in said(chunks_of(second)).items() if one.texts}


def test_the_usual_stream_passes_untouched() -> None:
    """Without a restart, or with one before anything came, every chunk goes out as it is."""
    resume = Resume()
    resume.restart()
    assert not resume.shown
    chunks = [chunk(), chunk(content="a"), chunk(content="b", extra={"x": 1}), chunk(end="stop")]
    for number, piece in enumerate(chunks):
        assert resume.take(piece)[0] is piece
        assert resume.shown is (number > 0)
    assert (resume.behind, resume.finish(), resume.diverged) == (False, (), False)


@pytest.mark.parametrize(
    ("fields", "seen"),
    [
        ({"content": "a"}, True),
        ({"content": ""}, False),
        ({"tool_calls": (call(0, "", call_id="1"),)}, True),
        ({"extra": {"audio": {"data": "AA"}}}, True),
        ({"extra": {"images": ["x"]}}, True),
        ({"extra": {"thinking_blocks": ["x"]}}, False),
    ],
)
def test_what_can_be_seen(fields: dict[str, Any], seen: bool) -> None:
    """Text, tool calls, sound and pictures can; what only goes back in the next turn cannot."""
    resume = Resume()
    resume.take(chunk(**fields))
    assert resume.shown is seen


def test_the_chunk_at_the_border_is_cut() -> None:
    """What was shown is swallowed, and of the chunk in which it ends only the rest goes out, under the new id."""
    resume = resumed(chunk(reasoning_content="hm"), chunk(content="Hello"))
    assert (resume.shown, resume.behind) == (True, True)
    assert resume.take(chunk(reasoning_content="hm")) == ()
    assert resume.take(chunk(content="Hel")) == ()
    border = Chunk(choices=(delta(content="lo world"),), id="new", model="large")
    assert resume.take(border) == (Chunk(choices=(delta(content=" world"),), id="new", model="large"),)
    assert not resume.behind
    assert resume.take(chunk(content="!")) == (chunk(content="!"),)
    assert resume.take(chunk()) == ()  # only opens a message


def test_nothing_goes_out_before_all_was_said_again() -> None:
    """New ground in one choice waits for the other one: who knows what it will say."""
    resume = resumed(Chunk(choices=(delta(0, content="a"), delta(1, content="b"))))
    assert resume.take(chunk(0, content="aa")) == ()
    assert resume.take(chunk(2, content="new")) == ()
    assert resume.behind
    assert resume.take(chunk(1, content="bb")) == (
        chunk(0, content="a"),
        chunk(2, content="new"),
        chunk(1, content="b"),
    )
    held = resumed(Chunk(choices=(delta(0, content="a"), delta(1, content="b"))))
    assert held.take(chunk(0, content="aa")) == ()
    assert held.take(chunk(1, content="c")) == ()
    assert held.diverged


def test_a_tool_call_is_cut_in_its_arguments() -> None:
    """Its head, which was shown, is not repeated; a call that was not begun goes out whole."""
    resume = resumed(chunk(tool_calls=(call(0, '{"city":', call_id="1", name="look"),)))
    assert resume.take(chunk(tool_calls=(call(0, "", call_id="2", name="look"),))) == ()
    assert resume.take(chunk(tool_calls=(call(0, '{"city":"B'),))) == (chunk(tool_calls=(call(0, '"B'),)),)
    second = chunk(tool_calls=(call(1, "{}", call_id="3", name="look"),))
    assert resume.take(second) == (second,)
    assert not resume.diverged


def test_a_head_that_was_shown_in_part_is_completed() -> None:
    """An id, a name and the provider's own fields that the dead source had not sent yet go out."""
    resume = resumed(chunk(tool_calls=(call(0, ""),)), chunk(content="x"))
    assert resume.behind
    head = ToolCall(id="1", function=Function(name="look", arguments=""), index=0, extra={"signature": "s"})
    assert resume.take(chunk(tool_calls=(head,), content="x")) == (chunk(tool_calls=(head,)),)
    resume.restart()
    assert resume.take(chunk(tool_calls=(head,), content="x")) == ()
    assert resume.take(chunk(tool_calls=(replace(head, id="2", extra={"signature": "t"}),))) == ()
    assert resume.diverged  # the name goes on, so that it is another one


@pytest.mark.parametrize(
    ("name", "parted"),
    [("look", False), ("look_up", True), ("loot", True)],
)
def test_a_name_is_a_whole(name: str, parted: bool) -> None:
    """One that begins with the name that was shown is another one."""
    resume = resumed(chunk(tool_calls=(call(0, "", call_id="1", name="look"),)))
    resume.take(chunk(tool_calls=(call(0, "{}", call_id="2", name=name),)))
    assert resume.diverged is parted


def test_a_call_that_does_not_come_again() -> None:
    """It was seen, though it had no name yet: a source without it has diverged."""
    resume = resumed(chunk(tool_calls=(call(0, "", call_id="1"),)))
    assert resume.take(chunk(content="no call")) == ()
    assert resume.finish() == ()
    assert resume.diverged


def test_calls_without_an_index_are_counted() -> None:
    """Whole calls one after the other, and pieces that continue the last, are told apart by their heads."""
    look = call(None, '{"a"', call_id="1", name="look")
    find = call(None, "{}", call_id="2", name="find")
    resume = resumed(chunk(tool_calls=(look,)), chunk(tool_calls=(call(None, ":"),)))
    new = (call(None, '{"a":1}', call_id="3", name="look"), find)
    assert resume.take(chunk(tool_calls=new)) == (chunk(tool_calls=(call(0, "1}"), replace(find, index=1))),)
    resume.restart()
    assert resume.rest(answer("")) == ()
    assert resume.diverged
    headless = resumed(chunk(tool_calls=(call(None, "{"),)))
    assert headless.take(chunk(tool_calls=(call(None, "{}"),))) == (chunk(tool_calls=(call(0, "}"),)),)


@pytest.mark.parametrize("parted", [False, True])
def test_an_end_must_be_the_same_end(parted: bool) -> None:
    """An end that was shown is not shown again; another one is a divergence."""
    resume = resumed(chunk(content="a"), chunk(end="stop"))
    assert resume.take(chunk(content="a")) == ()
    assert resume.behind
    assert resume.take(chunk(end="length" if parted else "stop")) == ()
    assert resume.diverged is parted
    assert resume.finish() == ()


def test_an_end_before_all_was_said_again() -> None:
    """A source that ends behind what was shown has diverged, which shows when it has ended."""
    resume = resumed(chunk(content="abc"))
    assert resume.take(chunk(content="ab", end="stop")) == ()
    assert (resume.behind, resume.diverged) == (True, False)
    assert resume.finish() == ()
    assert resume.diverged
    resume.restart()
    assert resume.take(chunk(content="abcd")) == ()
    assert resume.rest(answer("abcd")) == ()
    assert resume.diverged


def test_a_source_that_says_no_ends() -> None:
    """What was held back for an end that never came goes out when the source has ended."""
    resume = resumed(chunk(0, content="a", end="stop"), chunk(1, content="b"))
    assert resume.take(chunk(0, content="a")) == ()
    assert resume.take(chunk(1, content="bb")) == ()
    assert resume.finish() == (chunk(1, content="b"),)
    assert not resume.diverged


def test_last_words_after_the_end() -> None:
    """Some hosts say why an answer ended before its last words: these go out, and nothing that is not words."""
    shown = (chunk(content="a"), chunk(end="stop"))
    resume = resumed(*shown)
    for piece in shown:
        assert resume.take(piece) == ()
    assert resume.take(chunk(content="b", logprobs={"content": []})) == (chunk(content="b", logprobs={"content": []}),)
    assert resume.take(chunk(content="", extra={"citations": [1]})) == ()
    assert not resume.diverged


def test_log_probabilities_are_of_whole_pieces() -> None:
    """A piece that is cut or swallowed loses them, others keep them."""
    odds = {"content": [{"token": "ab", "logprob": -1.0}]}
    resume = resumed(chunk(content="a"))
    assert resume.take(chunk(logprobs=odds)) == ()
    assert resume.take(chunk(content="ab", logprobs=odds)) == (chunk(content="b"),)
    assert resume.take(chunk(content="ab", logprobs=odds)) == (chunk(content="ab", logprobs=odds),)
    assert resume.take(chunk(logprobs=odds)) == (chunk(logprobs=odds),)


def test_fields_beside_the_text() -> None:
    """As many values as were shown are swallowed, whatever they say: signatures differ from call to call."""
    resume = resumed(
        chunk(extra={"thinking_blocks": ["old"], "container": {"id": 1}}), chunk(content="a", extra={"notes": ["n"]})
    )
    first = chunk(content="a", extra={"thinking_blocks": ["new", "more"], "container": {"id": 2}, "other": "x"})
    assert resume.take(first) == (chunk(extra={"thinking_blocks": ["more"], "other": "x"}),)
    assert resume.take(chunk(extra={"notes": ["m"]})) == ()
    assert resume.take(chunk(extra={"notes": ["o"]})) == (chunk(extra={"notes": ["o"]}),)
    assert not resume.diverged


@pytest.mark.parametrize(("name", "value"), [("images", ["x"]), ("image", {"url": "x"})])
def test_pictures_must_be_the_same(name: str, value: Any) -> None:
    """They cannot be cut: the same is swallowed, another one is a divergence, and one that is missing too."""
    more = ["y"] if isinstance(value, list) else {"url": "y"}
    same = resumed(chunk(extra={name: value}))
    assert same.behind
    assert same.take(chunk(extra={name: value})) == ()
    assert same.take(chunk(extra={name: more})) == (chunk(extra={name: more}),)
    other = resumed(chunk(extra={name: value}))
    assert other.take(chunk(extra={name: more})) == ()
    assert other.diverged
    missing = resumed(chunk(extra={name: value}))
    assert missing.take(chunk(content="a")) == ()
    assert missing.finish() == ()
    assert missing.diverged


def test_sound_is_cut_like_a_text() -> None:
    """Its data and its transcript go on where they were cut; its id and its date, which differ, are not repeated."""
    resume = resumed(
        chunk(extra={"audio": {"id": "1", "transcript": "He"}}), chunk(extra={"audio": {"id": "1", "data": "AA"}})
    )
    assert resume.take(chunk(extra={"audio": {"id": "2", "transcript": "Hello"}})) == ()
    assert resume.take(chunk(extra={"audio": {"id": "2", "data": "AABB", "expires_at": 7}})) == (
        chunk(extra={"audio": {"transcript": "llo"}}),
        chunk(extra={"audio": {"data": "BB", "expires_at": 7}}),
    )
    resume.restart()
    assert resume.take(chunk(extra={"audio": {"data": "AC"}})) == ()
    assert resume.diverged
    odd = resumed(chunk(extra={"audio": "x"}))
    assert odd.take(chunk(extra={"audio": "y"})) == ()
    assert not odd.diverged


def test_a_source_may_word_its_whole_answer_otherwise() -> None:
    """One that was shown to its end is complete, though its answer is not, to the letter, what it streamed."""
    resume = Resume()
    chunks = [chunk(reasoning_content="plan"), chunk(content="a", end="stop")]
    taken(resume, chunks)
    assert resume.rest(answer("a")) == ()
    assert not resume.diverged
    resume.restart()  # of a new source that is not believed
    assert resume.rest(answer("a")) == ()
    assert resume.diverged


def recorded(events: Sequence[dict[str, Any]]) -> tuple[list[Chunk], Answer | None]:
    """Returns the events of a recorded stream as its client reads them: chunks, and the whole answer."""
    reading: Any
    if any(event.get("type") == "message_start" for event in events):
        reading = anthropic.Reading(tool_names={}, json_tool=None)
    elif any(event.get("type") == "message-start" for event in events):
        reading = cohere.Reading()
    elif any("candidates" in event for event in events):
        reading = gemini.Reading()
    else:
        joiner = Joiner("openai", {})
        return [piece for event in events if (piece := joiner.add(event)) is not None], joiner.answer()
    return [piece for event in events for piece in reading.feed(event)], reading.end({})


def test_recorded_streams_go_on() -> None:
    """Whatever hosts do in their streams: cut anywhere, each goes on with itself, or with its whole answer."""
    tried: Counter[str] = Counter()
    for row in cassettes("cassettes_ok"):
        tried[row["provider"]] += row["wire_format"] == "sse"
        if row["wire_format"] != "sse" or tried[row["provider"]] > MOST_ROWS:
            continue
        decoder = Decoder()
        texts = [event.data for event in decoder.feed(recording_of(row).body) + decoder.feed(b"\n\n")]
        chunks, whole = recorded([orjson.loads(text) for text in texts if text.startswith("{")])
        if whole is None or not chunks:
            continue
        place = Random(row["id"]).randint(1, len(chunks))
        resume = resumed(*chunks[:place])
        out = [*chunks[:place], *taken(resume, chunks), *resume.finish()]
        assert not resume.diverged, row["id"]
        assert said(out) == said(chunks), row["id"]
        own = Resume()
        out = [*taken(own, chunks[:place]), *own.rest(whole)]
        assert not own.diverged, row["id"]
        assert {i: one.texts for i, one in said(out).items() if one.texts} == {
            i: one.texts for i, one in said(chunks_of(whole)).items() if one.texts
        }, row["id"]


def test_a_whole_answer_as_a_stream() -> None:
    """For each choice all that it says, its calls numbered, then its end; every chunk has the answer's id and model."""
    calls = (ToolCall(id="1", function=Function(name="look", arguments="{}")),) * 2
    message = Message(content="a", tool_calls=calls, reasoning_content="r", refusal="no", extra={"x": 1})
    odds: dict[str, Any] = {"content": []}
    whole = Answer(
        choices=(
            Choice(message=message, finish_reason="tool_calls", logprobs=odds),
            Choice(index=1, message=Message(content="b")),
        ),
        id="answer",
        model="small",
    )
    first, end, second = chunks_of(whole)
    numbered = tuple(replace(c, index=i) for i, c in enumerate(calls))
    assert first.choices == (ChunkChoice(delta=replace(message, tool_calls=numbered), logprobs=odds),)
    assert end.choices == (ChunkChoice(delta=Message(), finish_reason="tool_calls"),)
    assert second.choices == (ChunkChoice(index=1, delta=Message(content="b")),)
    assert {(piece.id, piece.model) for piece in (first, end, second)} == {("answer", "small")}
    assert chunks_of(Answer(choices=())) == ()
    resume = Resume()
    assert resume.rest(whole) == chunks_of(whole)
    assert resume.shown
