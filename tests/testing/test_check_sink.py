"""`check_sink`: the sinks that ship pass, and each broken one is caught, with the smallest decision as code."""

from __future__ import annotations

import socket
import sys
import time
from pathlib import Path

import pytest
from loguru import logger
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from router.core.decision import Decision
from router.core.record import decision_dict
from router.sinks.jsonl import JsonlSink
from router.sinks.log import LogSink
from router.sinks.otel import OtelSink
from router.testing.records import decision_of
from router.testing.sinks import SINK_RULES, SinkBench, Told, check_sink, note_wait, wait_of
from router.testing.trial import Breach
from tests.testing.broken_sinks import BROKEN, ListSink, Target

RULES = {rule.__name__: rule for rule in SINK_RULES}


def test_the_durable_log_is_a_sink(tmp_path: Path) -> None:
    """`jsonl` keeps every promise, and every decision."""
    file = tmp_path / "log.jsonl"
    check_sink(lambda: JsonlSink(file), read=lambda: file.read_text().splitlines(), examples=40)


def test_the_readable_log_is_a_sink() -> None:
    """`log` keeps every promise, and every decision."""
    lines: list[str] = []
    handler = logger.add(lambda message: lines.append(str(message)), format="{message}")
    try:
        check_sink(LogSink, read=lambda: lines, examples=40)
    finally:
        logger.remove(handler)


def test_spans_are_a_sink() -> None:
    """`otel` keeps every promise, and every decision: one span each that has no parent."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))

    def roots() -> list[str]:
        return [span.to_json() for span in exporter.get_finished_spans() if span.name.startswith("route")]

    check_sink(lambda: OtelSink(provider=provider), read=roots, examples=40)


@pytest.mark.parametrize("read", [True, False])
def test_the_shortest_sink_passes(read: bool) -> None:
    """What is asked can be done in one line, whether the target can be read or not."""
    target = Target()
    check_sink(lambda: ListSink(target), read=(lambda: target) if read else None)


@pytest.mark.untraced
@pytest.mark.parametrize(("rule", "broken"), BROKEN, ids=lambda value: getattr(value, "__name__", value))
def test_broken_sinks_are_caught(rule: str, broken: type[ListSink]) -> None:
    """A sink that breaks a promise is told which, what it did, and the code that shows it again."""
    target = Target()

    def make() -> ListSink:
        return broken(target)

    with pytest.raises(Breach) as caught:
        check_sink(make, read=lambda: target, patience_s=3.0)
    breach = caught.value
    assert breach.rule == rule
    for part in (rule, breach.says, breach.promise, "    from router.testing.sinks import "):
        assert part in str(breach)
    assert len(breach.code.splitlines()) <= 8
    with pytest.raises(Breach) as again:
        exec(breach.code, {"make": make, "read": lambda: target})  # noqa: S102 - the very thing that is promised
    assert again.value.rule == rule


def test_every_rule_can_be_broken() -> None:
    """For each rule there is a sink that breaks it."""
    assert {rule for rule, _ in BROKEN} == RULES.keys()


def test_counterexamples_are_small() -> None:
    """Of all decisions that a sink cannot take, the plainest one is shown."""

    class Picky(ListSink):
        def emit(self, decision: Decision, /) -> None:
            assert decision.tenant is None

    target = Target()
    with pytest.raises(Breach, match="takes_every_decision") as caught:
        check_sink(lambda: Picky(target))
    assert "Told(tenant='')" in caught.value.code


def test_what_cannot_be_made_is_said() -> None:
    """A sink whose class raises when it is made breaks the first rule that makes one."""

    def make() -> ListSink:
        raise OSError("no such folder")

    with pytest.raises(Breach, match=r"make\(\) raised OSError\('no such folder'\)"):
        check_sink(make)


def test_a_sink_that_hangs_is_not_waited_for() -> None:
    """A call that does not come back is a breach, after the patience that was asked for."""
    target = Target()

    class Hangs(ListSink):
        def emit(self, decision: Decision, /) -> None:
            self.lock.acquire()

    with pytest.raises(Breach, match=r"emit\(\) .*hung: no return within 0\.2 s"):
        check_sink(lambda: Hangs(target), patience_s=0.2)


def test_waits_are_told_from_other_calls() -> None:
    """Sleeping, connecting and looking up names are waits; datagrams and everything else are none."""
    frame = sys._getframe()  # noqa: SLF001 - any frame will do
    with socket.socket() as stream, socket.socket(type=socket.SOCK_DGRAM) as datagram:
        calls = [time.sleep, stream.connect, datagram.connect, stream.close, socket.socket.__init__, len]
        assert [wait_of(call) for call in calls] == ["time.sleep()", "socket.connect()", None, None, None, None]
    noted: list[str] = []
    for event, function in (("c_call", len), ("call", time.sleep), ("c_call", time.sleep)):
        note_wait(noted, frame, event, function)
    assert noted == ["time.sleep()"]


@pytest.mark.parametrize("rule", SINK_RULES, ids=RULES)
def test_rules_are_plain_functions(rule: object) -> None:
    """Each rule can be called by itself, on one decision, without Hypothesis."""
    target = Target()
    assert callable(rule)
    rule(SinkBench(lambda: ListSink(target), lambda: target), Told(prompt="hi"))


async def test_a_check_works_inside_a_coroutine() -> None:
    """A test that runs in an event loop may call it, too."""
    target = Target()
    check_sink(lambda: ListSink(target), read=lambda: target, examples=5)


def test_decisions_are_made_from_a_few_words() -> None:
    """`decision_of` gives every kind of record: failures, the cache's, content, unknown costs, waits."""
    retried = decision_of(outcomes=["refused", "server_error", "answer"], says="yes", prompt="Well?")
    assert [a.outcome for a in retried.attempts] == ["refused", "server_error", "answer"]
    assert retried.content is not None
    assert retried.content["answer"][0]["content"] == "yes"
    assert decision_of(outcomes=["cancelled"]).ending == "cancelled"
    assert decision_of(priced=False).cost_usd is None
    hit = decision_of(cached=True, trace_id="a" * 32)
    assert (hit.cache, hit.attempts, hit.trace_id) == ("shared", (), "a" * 32)
    nobody = decision_of(outcomes=(), prompt="hi", tenant="acme")
    assert nobody.content is not None
    assert (nobody.ending, nobody.content["answer"]) == ("no_candidate", None)
    assert decision_dict(nobody)["tenant"] == "acme"
