"""From the options of a command to a router and a request: what `complete`, `explain` and `compare` share."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from router.core.decision import Decision
from router.errors import RequestError

if TYPE_CHECKING:
    from router.config import Settings
    from router.router import Router
    from router.sinks.sink import Sink

STDIN = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request as `Router.complete` takes it: messages or a prompt, parameters and hints."""

    prompt: Any = field(default=None, repr=False)
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(slots=True)
class Kept:
    """A sink that keeps decisions, so that a command can say what an interrupted request cost."""

    decisions: list[Decision] = field(default_factory=list)

    def emit(self, decision: Decision, /) -> None:
        """Keeps one."""
        self.decisions.append(decision)

    def close(self) -> None:
        """Has nothing to let go of."""


def asked(prompt: str | None, file: str | None, options: Mapping[str, Any], params: Sequence[str] = ()) -> Asked:
    """Returns the request that the command line describes.

    Args:
        prompt: the text; "-" is standard input; None where a file is given.
        file: a text file, or one named `*.json` with messages or a whole request body of OpenAI's; "-" is standard
            input.
        options: parameters and hints by name; None is left out. They win over those of a request body.
        params: more parameters, each as NAME=VALUE; a value is JSON, or else a string.

    Raises:
        RequestError: there is no prompt, or two, or the file cannot be read.
    """
    given = {name: value for name, value in options.items() if value is not None} | _params(params)
    if "stream" in given:
        raise RequestError("--param stream: whether to stream is not the request's to say; use --stream")
    if (prompt is None) == (file is None):
        raise RequestError("pass a prompt, or a file with --file; '-' reads standard input")
    source = prompt if file is None else file
    if source == STDIN:
        return Asked(prompt=sys.stdin.read(), options=given)
    if file is None:
        return Asked(prompt=prompt, options=given)
    return _from_file(Path(file), given)


def _from_file(path: Path, given: Mapping[str, Any]) -> Asked:
    try:
        content = path.read_bytes()
        text = content.decode()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise RequestError(f"{path}: the prompt cannot be read: {reason}") from error
    if path.suffix != ".json":
        return Asked(prompt=text, options=given)
    try:
        body = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise RequestError(f"{path}: is not JSON: {error}") from error
    if isinstance(body, dict) and "messages" in body:
        # Whether to stream is the command's to say: the same body serves with and without.
        parameters = {name: value for name, value in body.items() if name not in {"messages", "stream"}}
        return Asked(prompt=body["messages"], options=parameters | dict(given))
    if isinstance(body, list):
        return Asked(prompt=body, options=given)
    raise RequestError(f"{path}: is neither a list of messages nor a request body with 'messages'")


def _params(params: Sequence[str]) -> dict[str, Any]:
    return {name: _value(text) for name, text in pairs(params, "--param").items()}


def _value(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def pairs(texts: Sequence[str], option: str) -> dict[str, str]:
    """Returns NAME=VALUE texts as a mapping.

    Raises:
        RequestError: one of them has no name or no "=".
    """
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name or not equals:
            raise RequestError(f"{option} {text!r}: write it as NAME=VALUE")
        found[name] = value
    return found


def settings_of(config: Path | None) -> Settings:
    """Returns the settings of a file, or of a program that names none.

    Raises:
        ConfigError: there are none, or they are wrong.
    """
    from router.config import default_settings, load

    return default_settings() if config is None else load(config)


def open_router(settings: Settings, *sinks: Sink, verbose: bool = False, deliver: bool = True) -> Router:
    """Returns a router that also gives its decisions to these sinks.

    Args:
        settings: of the router.
        *sinks: besides those of the settings.
        verbose: whether a line per decision goes to stderr.
        deliver: whether it may deliver alerts, for which it needs their secrets.
    """
    from router.router import Router
    from router.setup import setup_of, sinks_of

    if settings.outbox is not None and not deliver:
        outbox = settings.outbox.model_copy(update={"deliver": False})
        settings = settings.model_copy(update={"outbox": outbox})
    own = tuple(sinks_of(setup_of(settings)))
    if verbose:
        from router.sinks.log import LogSink

        if not any(isinstance(sink, LogSink) for sink in own):
            own = (*own, LogSink())
    return Router(settings, sinks=(*own, *sinks))
