"""`lowfare complete`: one request, its answer on stdout, what it cost on stderr."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import typer
from rich.text import Text

from router.cli.asking import Asked, Kept, open_router, settings_of
from router.cli.ending import INTERRUPTED
from router.cli.story import summary
from router.cli.terminal import err, out, print_json, shown, waiting
from router.reply import Reply
from router.router import Router


def run(asked: Asked, *, config: Path | None, stream: bool, as_json: bool, verbose: bool) -> None:
    """Sends the request and prints its answer."""
    kept = Kept()
    with open_router(settings_of(config), kept, verbose=verbose) as router:
        try:
            reply = _streamed(router, asked, as_json=as_json) if stream else _whole(router, asked)
        except KeyboardInterrupt:
            _tell_interrupted(kept, as_json=as_json)
            raise typer.Exit(INTERRUPTED) from None
        if as_json:
            print_json(as_values(reply))
            return
        if not stream:
            _write(reply.text + "\n")
        _tell_calls(reply)
        err().print(summary(reply.decision.to_dict()), style="dim", soft_wrap=True)


def as_values(reply: Reply) -> dict[str, Any]:
    """Returns a reply as JSON values: the short way to what most scripts want, then the whole of it."""
    decision = reply.decision.to_dict()
    return {
        "text": reply.text,
        "model": reply.model,
        "cost_usd": decision["cost_usd"],
        "trace_id": reply.trace_id,
        "completion": reply.model_dump(),
        "decision": decision,
    }


def _whole(router: Router, asked: Asked) -> Reply:
    with waiting("waiting for the answer"):
        return router.complete(asked.prompt, **asked.options)


def _streamed(router: Router, asked: Asked, *, as_json: bool) -> Reply:
    with router.stream(asked.prompt, **asked.options) as chunks:
        pieces = iter(chunks)
        with waiting("waiting for the first token"):
            chunk = next(pieces, None)
        while chunk is not None:
            if as_json:
                print_json({"chunk": chunk.text})
            else:
                _write(chunk.text)
            chunk = next(pieces, None)
        if not as_json:
            _write("\n")
        return chunks.reply


def _write(text: str) -> None:
    """Writes an answer as it is into a pipe, and without what would drive the terminal onto one."""
    sys.stdout.write(shown(text) if sys.stdout.isatty() else text)
    sys.stdout.flush()


def _tell_calls(reply: Reply) -> None:
    for choice in reply.choices:
        for call in choice.message.tool_calls or ():
            out().print(f"{call.function.name}({shown(call.function.arguments)})", soft_wrap=True)


def _tell_interrupted(kept: Kept, *, as_json: bool) -> None:
    """Says what the interrupted request cost, as it stands in the log."""
    decision = kept.decisions[-1].to_dict() if kept.decisions else None
    if as_json:
        print_json({"error": {"type": "Interrupted", "message": "interrupted"}, "decision": decision})
    told = Text("interrupted") if decision is None else Text.assemble("interrupted: ", summary(decision))
    err().print(told, soft_wrap=True)
