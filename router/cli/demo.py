"""`lowfare demo`: a few requests of different size and need over four models, without a key and without a network.

The provider is simulated; the catalog, the prices, the policy, the attempt loop and the record are those of any other
run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from importlib.resources import as_file, files
from typing import Any

from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from router.cli.asking import open_router
from router.cli.ending import ending
from router.cli.lookup import kept, source
from router.cli.story import baseline, slate, usage
from router.cli.terminal import dollars, out, print_json, seconds, shown, times, waiting
from router.core.decision import Decision, total
from router.errors import RequestError
from router.router import Router

DEAREST = "claude-sonnet-4-5"
_TICKET = (
    "Ticket {n}: the customer writes that the export of last month's invoices stops at page {n} with a blank sheet, "
    "that a second try from another browser ended the same way, and that accounting needs the file before Friday. "
)
_PIXEL = (
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
_WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a city today.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
_PERSON = {
    "type": "json_schema",
    "json_schema": {
        "name": "person",
        "schema": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "born": {"type": "integer"}},
            "required": ["name", "born"],
            "additionalProperties": False,
        },
    },
}
_IMAGE = [
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "What is on this picture?"},
            {"type": "image_url", "image_url": {"url": _PIXEL}},
        ],
    }
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One request of the demonstration; `label` is the prompt as it is shown."""

    title: str
    label: str
    prompt: Any
    options: Mapping[str, Any] = field(default_factory=dict)


def _said(title: str, prompt: str, **options: Any) -> Example:
    return Example(title=title, label=prompt, prompt=prompt, options=options)


_QUESTION = "What is the capital of Portugal?"
EXAMPLES = (
    _said("A short question", _QUESTION),
    Example(
        title="A long text",
        label="Summarise these tickets: ... (60 tickets)",
        prompt="Summarise these tickets.\n\n" + "".join(_TICKET.format(n=n) for n in range(1, 61)),
    ),
    _said("A tool to call", "Do I need an umbrella in Porto?", tools=[_WEATHER], tool_choice="required"),
    _said("An answer in a JSON schema", "Who wrote The Lusiads, and when was he born?", response_format=_PERSON),
    Example(title="A picture", label="What is on this picture? (1 image)", prompt=_IMAGE),
    _said("A cap on its cost", "Suggest three names for a bakery.", max_cost_usd="0.001"),
    _said("The short question again", _QUESTION),
)


def run(*, log: str | None, as_json: bool) -> None:
    """Sends every example and prints what was decided, by whom it was answered and what it cost."""
    kept = None if log is None else _Log(log)
    with ending(as_json=as_json), _router(kept) as router:
        with waiting("routing"):
            records = [_record(router, example) for example in EXAMPLES]
        if kept is not None and kept.fault is not None:
            raise RequestError(f"--log {log}: cannot be written: {kept.fault.strerror}") from kept.fault
        if as_json:
            print_json({"simulated": True, "requests": records, **{k: str(v) for k, v in _sums(records).items()}})
            return
        _print(records, log)


def config_text() -> str:
    """Returns the configuration of the demonstration."""
    return files("router.cli").joinpath("demo.toml").read_text(encoding="utf-8")


class _Log:
    """The log, which fails the demonstration where it cannot be written, and not just warns as a router's does."""

    def __init__(self, path: str) -> None:
        from router.sinks.jsonl import JsonlSink

        self._sink = JsonlSink(path)
        self.fault: OSError | None = None

    def emit(self, decision: Decision, /) -> None:
        """Writes a decision, or keeps why it cannot."""
        try:
            self._sink.emit(decision)
        except OSError as error:
            self.fault = self.fault or error

    def close(self) -> None:
        """Closes the file."""
        self._sink.close()


def _router(log: _Log | None) -> Router:
    from router.config import load

    with as_file(files("router.cli").joinpath("demo.toml")) as path:
        # No variable of the environment may change what the demonstration shows.
        settings = load(path, environ={})
    return open_router(settings, *(() if log is None else (log,)))


def _record(router: Router, example: Example) -> dict[str, Any]:
    reply = router.complete(example.prompt, max_tokens=300, baseline=DEAREST, **example.options)
    return {"title": example.title, "label": example.label} | reply.decision.to_dict()


def _sums(records: list[dict[str, Any]]) -> dict[str, Decimal | None]:
    return {
        "cost_usd": total(_amount(r["cost_usd"]) for r in records),
        "waste_usd": total(_amount(r["waste_usd"]) for r in records),
        "saved_usd": total(_amount(r["saved_usd"]) for r in records),
        "baseline_usd": total(_amount(r["baseline_usd"]) for r in records),
    }


def _amount(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _print(records: list[dict[str, Any]], log: str | None) -> None:
    console = out()
    console.print(
        Text.assemble(
            ("The answers are simulated, the prices are real. ", "bold"),
            "Four models, one policy: short requests go to the cheap model, long ones to the large, and each only to a "
            "model that can serve it.",
        )
    )
    for number, record in enumerate(records, start=1):
        console.print()
        _print_one(number, record)
    console.print()
    console.print(Rule(style="dim"))
    _print_sums(records)
    console.print()
    where = f"lowfare explain {records[0]['trace_id'][:8]} --log {log}" if log else "lowfare demo --log demo.jsonl"
    console.print(Text.assemble(("its configuration  ", "dim"), "lowfare demo --print-config"))
    console.print(Text.assemble(("one whole story    " if log else "keep the decisions ", "dim"), where))


def _print_one(number: int, record: dict[str, Any]) -> None:
    console = out()
    console.print(Text.assemble((f"{number}  {record['title']}  ", "bold"), (f'"{shown(record["label"])}"', "dim")))
    body = Table.grid(padding=0)
    body.add_row(slate(record))
    for attempt in record["attempts"]:
        if attempt["outcome"] != "answer":
            status = "" if attempt["status"] is None else f" ({attempt['status']})"
            body.add_row(
                Text.assemble(
                    (f"{attempt['model']} failed: {attempt['outcome']}{status}", "red"),
                    f", {dollars(attempt['cost_usd'])} wasted ({attempt['billing']})",
                )
            )
    stored = kept(record)
    saved = f" ({dollars(stored['saved_usd'])} saved)" if stored else ""
    body.add_row(
        Text.assemble(
            (f"{record['model']} answered{', ' + source(stored) if stored else ''}", "green bold"),
            f": {usage((stored or record['attempts'][-1])['usage'])}, ",
            (dollars(record["cost_usd"]), "bold"),
            f"{saved}, {seconds(record['latency_s'])}",
        )
    )
    body.add_row(Text(f"{dollars(record['baseline_usd'])} for {baseline(record)}", style="dim"))
    body.add_row(Text(f"trace {record['trace_id']}", style="dim"))
    console.print(Padding(body, (0, 0, 0, 3), expand=False))


def _print_sums(records: list[dict[str, Any]]) -> None:
    sums = _sums(records)
    grid = Table.grid(padding=(0, 2))
    lost = f"{dollars(sums['waste_usd'])} of it on the failed attempt"
    grid.add_row("spent", Text(dollars(sums["cost_usd"]), style="bold green"), lost)
    grid.add_row("saved", Text(dollars(sums["saved_usd"]), style="bold green"), "by the cache")
    grid.add_row(
        f"all on {DEAREST}",
        Text(dollars(sums["baseline_usd"]), style="bold"),
        times(sums["cost_usd"], sums["baseline_usd"]),
    )
    out().print(grid)
