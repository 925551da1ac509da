"""A decision in its JSON form -> what a person reads: the slate, every attempt, the totals.

It reads the JSON form alone, so that a decision just made and one out of a log print alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from router.cli.lookup import kept, lookup, planned, source, would
from router.cli.purses import purses
from router.cli.terminal import dollars, seconds, shown, times, tokens
from router.core.budgeting import SPENT

Record = Mapping[str, Any]

_PARTS = {
    "cached_input_tokens": "cached",
    "cache_write_tokens": "written to cache",
    "cache_write_1h_tokens": "written to cache for 1 h",
    "reasoning_tokens": "reasoning",
    "input_audio_tokens": "audio in",
    "output_audio_tokens": "audio out",
    "input_image_tokens": "image in",
    "output_image_tokens": "image out",
    "search_requests": "searches",
}


def story(record: Record) -> Group:
    """Returns the whole story of a request: what was asked, who could answer, what was tried, what it cost.

    Args:
        record: a decision; with `labels`, those that its trace has.
    """
    parts: list[RenderableType] = [_title(record), _indented(_when(record)), _indented(_facts(record))]
    if not record.get("source"):  # who logs for others knows no slate
        parts += [Text(""), Text("Slate", style="bold"), _indented(slate(record))]
    parts += _cache(lookup(record)) + _budgets(record)
    if record["attempts"]:
        parts += [Text(""), Text("Attempts", style="bold"), _indented(attempts(record))]
    parts += [Text(""), Text("Cost", style="bold"), _indented(_totals(record))]
    if record.get("labels"):
        parts += [Text(""), Text("Labels", style="bold"), _indented(_labels(record["labels"]))]
    return Group(*parts)


def preview(record: Record, *, cached: bool = False) -> Group:
    """Returns what would happen to a request that was not sent: the slate and the most it can cost.

    Args:
        record: of the plan.
        cached: whether the configuration has a cache.
    """
    parts: list[RenderableType] = [_title(record), _indented(_facts(record)), Text(""), Text("Slate", style="bold")]
    parts.append(_indented(slate(record)))
    if record["slate"]["live"]:
        parts += _cache(planned(record, cached=cached)) + _budgets(record)
        worst = Table.grid(padding=(0, 2))
        worst.add_row("at most", Text(dollars(record["worst_case_usd"]), style="bold"), _bounds(record))
        parts += [Text(""), Text("Cost", style="bold"), _indented(worst)]
    return Group(*parts)


def _cache(told: Table | None) -> list[RenderableType]:
    return [] if told is None else [Text(""), Text("Cache", style="bold"), _indented(told)]


def _budgets(record: Record) -> list[RenderableType]:
    grid = purses(record)
    return [] if grid is None else [Text(""), Text("Budgets", style="bold"), _indented(grid)]


def slate(record: Record) -> RenderableType:
    """Returns the candidates: live ones in the order in which they are asked, then each dropped one with its reason."""
    live, dropped = record["slate"]["live"], record["slate"]["dropped"]
    width = max((len(entry["model"]) for entry in (*live, *dropped)), default=0)
    kept = _grid(width, columns=2)
    for number, entry in enumerate(live, start=1):
        kept.add_row(
            Text(str(number), style="green"),
            Text(entry["model"], style="bold"),
            Text(f"expected {dollars(entry['expected_usd'])}"),
            Text(f"at most {dollars(entry['worst_usd'])}", style="dim"),
        )
    fallen = _grid(width)
    for entry in dropped:
        by = "" if entry["by"] == "request" else f"{entry['by']}: "
        fallen.add_row(Text("x", style="red"), Text(entry["model"], style="dim"), Text(shown(by + entry["reason"])))
    return Group(*([kept] if live else []), *([fallen] if dropped else []))


def attempts(record: Record) -> RenderableType:
    """Returns every attempt with its outcome, time, cost, and the rule by which that was found."""
    width = max(len(_name(attempt)) for attempt in record["attempts"])
    grid = _grid(width)
    number = 0
    for attempt in record["attempts"]:
        if attempt.get("held"):
            waits = f", {seconds(attempt['retry_after_s'])} more" if attempt["retry_after_s"] else ""
            why = f": {shown(attempt['error'])}" if attempt["held"] == SPENT and attempt["error"] else ""
            told = Text(f"held back: {attempt['held']}{waits}, nothing was sent{why}", style="dim")
            grid.add_row(Text("-", style="dim"), Text(_name(attempt), style="dim"), told)
            continue
        number += 1
        answered = attempt["outcome"] == "answer"
        style = "green" if answered else "red"
        status = "" if answered or attempt["status"] is None else f" ({attempt['status']})"
        lines = [
            Text.assemble(
                (f"{attempt['outcome']}{status}", style), f" after {seconds(attempt['latency_s'])}{_first(attempt)}"
            ),
            Text.assemble(
                (dollars(attempt["cost_usd"], exact=True), "bold"), f" {attempt['billing']}: {attempt['price_rule']}"
            ),
        ]
        if attempt.get("reserved_usd") is not None:
            lines.append(Text(f"{dollars(attempt['reserved_usd'])} of the budgets was reserved before", style="dim"))
        if attempt["usage"] is not None:
            lines.insert(1, Text(usage(attempt["usage"])))
        if attempt.get("model_id"):
            lines.insert(1, Text(_whom(attempt), style="dim"))
        if attempt["error"]:
            lines.insert(1, Text(f'"{shown(attempt["error"])}"', style="dim"))
        if attempt["committed"] and not answered:
            lines.append(Text("a part of its answer had reached the caller, so nobody else was asked"))
        if attempt.get("deployment"):
            lines.append(Text(f"at the deployment {attempt['deployment']}", style="dim"))
        if attempt.get("response_id"):
            lines.append(Text(f"its provider's name for it is {shown(attempt['response_id'])}", style="dim"))
        if attempt.get("hedge"):
            lines.append(Text("asked beside the one before, which took long", style="dim"))
        grid.add_row(Text(str(number), style=style), Text(_name(attempt), style="bold"), Group(*lines))
    return grid


def _name(attempt: Mapping[str, Any]) -> str:
    """Returns the model's name; logs of others may lack it."""
    return attempt["model"] or "a model"


def _whom(attempt: Mapping[str, Any]) -> str:
    """Returns whom an attempt meant, and its context window: the name may mean another model by now."""
    window = f", window {tokens(attempt['window_tokens'])}" if attempt.get("window_tokens") else ""
    model_id, provider = attempt["model_id"], attempt.get("provider")
    at = f" at {provider}" if provider and not model_id.startswith(f"{provider}/") else ""
    return f"{model_id}{at}{window}"


def _labels(labels: Sequence[Mapping[str, Any]]) -> Table:
    """Returns what sources said of the answer, the latest of each."""
    grid = Table.grid(padding=(0, 2))
    for label in labels:
        adequate, score = label.get("adequate"), label.get("score")
        verdict = "" if adequate is None else "adequate" if adequate else "inadequate"
        style = "" if adequate is None else "green" if adequate else "red"
        scored = "" if score is None else f"score {score:g}"
        source, time = Text(_one_line(label["source"])), Text(shown(label["time"]))
        grid.add_row(source, Text(verdict, style=style), Text(scored), time)
    return grid


def usage(counted: Mapping[str, Any]) -> str:
    """Returns tokens in words: "1,204 tokens in (1,024 cached), 87 out"."""
    parts = [f"{counted[name]:,} {word}" for name, word in _PARTS.items() if counted.get(name)]
    detail = f" ({', '.join(parts)})" if parts else ""
    return f"{tokens(counted['input_tokens'])} tokens in, {tokens(counted['output_tokens'])} out{detail}"


def summary(record: Record) -> Text:
    """Returns a decision in one line, as it stands under an answer."""
    if stored := kept(record):
        counted = stored["usage"]
        noted = f" (saved {dollars(stored['saved_usd'])})"
    else:
        counted = next((a["usage"] for a in reversed(record["attempts"]) if a["usage"] is not None), None)
        waste = record["waste_usd"]
        noted = f" ({dollars(waste)} of it on attempts that gave nothing)" if waste is None or Decimal(waste) else ""
    return Text.assemble(
        (record["model"] or "no answer", "bold"),
        f" {source(stored)}" if stored else "",
        f", {usage(counted) if counted else 'tokens unknown'}, ",
        (dollars(record["cost_usd"]), "bold"),
        f"{noted}, {seconds(record['latency_s'])}, trace {record['trace_id']}",
    )


def _title(record: Record) -> Text:
    if record["ending"] == "planned":
        head, style = would(record), "green"
    elif record["ending"] == "recorded":
        head, style = f"{record['attempts'][0]['model']} was used outside the router", "green"
    elif record["model"] is not None:
        stored = kept(record)
        head, style = f"{record['model']} answered{', ' + source(stored) if stored else ''}", "green"
    elif record["ending"] == "answer":
        head, style = "A model answered", "green"
    elif record["ending"] == "no_candidate":
        head, style = "No model is adequate", "red"
    else:
        head, style = f"No answer: {shown(record['why'])}", "red"
    return Text(head, style=f"bold {style}")


def _when(record: Record) -> Table:
    grid = _labelled()
    grid.add_row("trace", Text(record["trace_id"]))
    grid.add_row("time", Text(f"{record['time'] or 'unknown'}, took {seconds(record['latency_s'])}"))
    return grid


def _labelled() -> Table:
    """Returns an empty grid of labels and values; those of one story line up."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(width=6, no_wrap=True)
    grid.add_column(overflow="fold")
    return grid


def _facts(record: Record) -> Table:
    features = record["features"]
    grid = _labelled()
    if record["policy"] is not None:
        grid.add_row("policy", Text(record["policy"]))
    if record.get("source"):
        grid.add_row("source", Text(shown(f"imported: {record['source']}")))
    if record["tenant"] is not None:
        grid.add_row("tenant", Text(_one_line(record["tenant"])))
    if record["tags"]:
        grid.add_row("tags", Text(_one_line(", ".join(f"{name}={value}" for name, value in record["tags"].items()))))
    grid.add_row("input", Text(_input(features)))
    most = features["output_tokens_most"]
    if most is None:
        limit = f"no limit, about {record['expected_output_tokens']:,} tokens expected"
    else:
        limit = f"up to {most:,} tokens"
    grid.add_row("output", Text(limit if features["choices"] == 1 else f"{features['choices']} answers, each {limit}"))
    if features["needs"]:
        grid.add_row("needs", Text(", ".join(features["needs"])))
    return grid


def _one_line(text: str) -> str:
    """Returns what a caller wrote as one line: a break in it may not look like a line of the story."""
    return shown(text.replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t"))


def _input(features: Mapping[str, Any]) -> str:
    count = features["input_tokens"]
    if exact := features["exact_tokens"]:
        return ", ".join(f"{number:,} tokens ({tokenizer})" for tokenizer, number in exact.items())
    return f"about {tokens(count['likely'])} tokens ({tokens(count['low'])} to {tokens(count['high'])})"


def _totals(record: Record) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_row("in all", Text(dollars(record["cost_usd"], exact=True), style="bold"))
    waste = record["waste_usd"]
    if waste is None or Decimal(waste):
        grid.add_row("of it wasted", Text(dollars(waste, exact=True)), Text("on attempts that gave the caller nothing"))
    if stored := kept(record):
        grid.add_row("saved", Text(dollars(stored["saved_usd"], exact=True)), Text(_saved(stored)))
    grid.add_row("at most", Text(dollars(record["worst_case_usd"])), _bounds(record))
    if record["baseline"] is not None and record["baseline_usd"] is not None:
        grid.add_row("baseline", Text(dollars(record["baseline_usd"], exact=True)), Text(baseline(record)))
    return grid


def _saved(stored: Mapping[str, Any]) -> str:
    counted = f", {usage(stored['usage'])}" if stored["usage"] else ""
    return f"what the stored answer had cost{counted}"


def baseline(record: Record) -> str:
    """Returns how the cost compares with the same answer's on the baseline model, in words."""
    cost, other = record["cost_usd"], record["baseline_usd"]
    name = record["baseline"]
    factor = times(*(None if amount is None else Decimal(amount) for amount in (cost, other)))
    if record["model"] == name or not factor:
        return f"the same tokens on {name}"
    return f"the same tokens on {name}, {factor}"


def _bounds(record: Record) -> Text:
    bounds = record["bounds"]
    parts = [
        f"{bounds['attempts']} attempts" if bounds["attempts"] != 1 else "1 attempt",
        f"{bounds['deadline_s']:g} s",
    ]
    if bounds["waste_usd"] is not None:
        parts.append(f"{dollars(bounds['waste_usd'])} of waste")
    if bounds["max_cost_usd"] is not None:
        parts.append(f"{dollars(bounds['max_cost_usd'])} in all")
    return Text(f"within {', '.join(parts)}")


def _first(attempt: Mapping[str, Any]) -> str:
    return "" if attempt["first_token_s"] is None else f", first token after {seconds(attempt['first_token_s'])}"


def _grid(name_width: int, *, columns: int = 1) -> Table:
    """Returns an empty grid of a mark, a name and more columns; mark and name are as wide as its neighbour's."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(width=2, justify="right", no_wrap=True)
    grid.add_column(min_width=min(name_width, 30), overflow="fold")
    for _ in range(columns):
        grid.add_column(overflow="fold")
    return grid


def _indented(what: RenderableType) -> Padding:
    return Padding(what, (0, 0, 0, 2), expand=False)


def lines_of(records: Sequence[Record]) -> Iterator[RenderableType]:
    """Yields the stories of several requests, with a blank line between them."""
    for index, record in enumerate(records):
        if index:
            yield Text("")
        yield story(record)
