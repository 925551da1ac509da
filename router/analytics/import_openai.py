"""Requests and responses in OpenAI's form, as JSONL: pairs that a program logged, or the files of the Batch API.

    {"request": {"model": "gpt-4.1", "messages": [...]}, "response": {"usage": {...}}, "time": ..., "latency_s": ...}
    {"custom_id": "a-1", "response": {"status_code": 200, "body": {...}}, "error": null}

A line of a batch's output does not have its request; with the batch's input beside it, it has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Final

import orjson

from router.analytics.import_lines import finish_reason, json_lines, table, word
from router.analytics.import_values import Wrong, duration_s, moment
from router.analytics.imported import Facts, Imported, counted, facts_of, texts_of
from router.analytics.importing import Read
from router.analytics.report_prices import Prices
from router.clients.openai_usage import usage_from
from router.core.answer import Usage
from router.core.classify import classify, error_in
from router.core.failure import Failure
from router.errors import ConfigError

_TIMES: Final = ("time", "timestamp", "created_at", "started_at")
_LATENCIES: Final = ("latency_s", "duration_s", "latency_ms", "duration_ms")


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAIImporter:
    """Reads such a file.

    Attributes:
        prices: tell who serves a model of which a line has only the name.
        requests: the batch's input, to be joined by `custom_id`; None where there is none.
    """

    prices: Prices
    requests: Path | None = None

    def __call__(self, path: Path, /) -> Iterator[Read]:
        """Yields the calls.

        Raises:
            ConfigError: the batch's input holds a line that is none.
        """
        if self.requests is None:
            yield from json_lines(path, partial(self._call, {}, None))
            return
        places = _places(self.requests)
        with self.requests.open("rb") as file:
            yield from json_lines(path, partial(self._call, places, file))

    def _call(self, places: Mapping[str, int], file: BinaryIO | None, line: Mapping[str, Any]) -> Imported:
        if "custom_id" in line:
            return self._of_batch(places, file, line)
        request, response = line.get("request"), line.get("response")
        if not isinstance(request, dict) or not isinstance(response, dict):
            raise Wrong('is no pair {"request": {...}, "response": {...}}, and no line of a batch\'s output')
        status = line.get("status", line.get("status_code"))
        found = self._imported(request, response, status if isinstance(status, int) else None, batch=False)
        for name in _TIMES:
            if line.get(name) is not None:
                found = replace(found, time=moment(name, line[name], None))
                break
        for name in _LATENCIES:
            if line.get(name) is not None:
                found = replace(found, latency_s=duration_s(name, line[name]))
                break
        return found

    def _of_batch(self, places: Mapping[str, int], file: BinaryIO | None, line: Mapping[str, Any]) -> Imported:
        response = table(line.get("response"))
        body, status = response.get("body"), response.get("status_code")
        if not isinstance(body, dict):
            error = table(line.get("error"))
            if not error:
                raise Wrong("has neither a response nor an error: a batch's output has; its input goes to --requests")
            body = {"error": error}
        name = str(line["custom_id"])
        request: Mapping[str, Any] = {}
        if file is not None and name in places:
            file.seek(places[name])
            request = table(orjson.loads(file.readline()).get("body"))
        found = self._imported(request, body, status if isinstance(status, int) else None, batch=True)
        return replace(found, request_id=name)

    def _imported(
        self, request: Mapping[str, Any], response: Mapping[str, Any], status: int | None, *, batch: bool
    ) -> Imported:
        model = word(request.get("model")) or word(response.get("model"))
        known = self.prices.model(None, model)
        provider = known.provider if known is not None else "openai"
        usage = usage_from(response, provider)
        if batch and usage is not None:
            usage = replace(usage, service_tier="batch")
        failure = _failure(request, response, status, provider)
        return Imported(
            request_id=word(response.get("id")),
            time=_created(response),
            model=model,
            model_id=known.id if known is not None else model,
            served=word(response.get("model")),
            response_id=word(response.get("id")),
            client=word(request.get("safety_identifier")) or word(request.get("user")),
            facts=_facts(request, usage),
            usage=usage,
            outcome="answer" if failure is None else failure.kind,
            status=status,
            code=None if failure is None else failure.code,
            error=None if failure is None else failure.message,
            finish_reason=finish_reason(response),
        )


def _created(response: Mapping[str, Any]) -> datetime | None:
    """Returns when a provider says that it answered; some that do not know say 0."""
    created = response.get("created")
    try:
        return moment("created", created, None) if isinstance(created, int | float) else None
    except Wrong:
        return None


def _facts(request: Mapping[str, Any], usage: Usage | None) -> Facts:
    stream = request.get("stream") is True
    if not request.get("messages"):
        return Facts(features=counted(None if usage is None else usage.input_tokens, stream=stream))
    return facts_of(request["messages"], request, usage, stream=stream)


def _failure(
    request: Mapping[str, Any], response: Mapping[str, Any], status: int | None, provider: str
) -> Failure | None:
    if (status is None or status < 400) and not error_in(response):
        return None
    asked = texts_of(request.get("messages"))
    return classify(provider=provider, status=status, headers={}, body=orjson.dumps(response), asked=asked)


def _places(requests: Path) -> Mapping[str, int]:
    """Returns where each line of a batch's input begins, by its `custom_id`.

    Raises:
        ConfigError: a line has none.
    """
    places: dict[str, int] = {}
    at = 0
    with requests.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                try:
                    places[str(orjson.loads(line)["custom_id"])] = at
                except (orjson.JSONDecodeError, KeyError, TypeError):
                    raise ConfigError(f"{requests}:{number}: is no line of a batch's input: no custom_id") from None
            at += len(line)
    return places
