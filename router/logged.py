"""What of a request and its answer goes into the log, where the configuration asks for it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from router.core.answer import Answer
from router.core.request import Request
from router.errors import warn

Redactor = Callable[[str], str]
"""Takes a text out of a prompt or an answer, and returns what of it may be logged."""

WITHHELD = "[withheld: a redactor failed]"


@dataclass(frozen=True, slots=True)
class Replace:
    """A redactor that puts a replacement where a regular expression matches."""

    pattern: re.Pattern[str]
    replacement: str

    def __call__(self, text: str, /) -> str:
        """Returns the text with every match replaced, the replacement taken literally."""
        return self.pattern.sub(lambda _: self.replacement, text)


@dataclass(frozen=True, slots=True)
class Logged:
    """Returns the content of a request and its answer, every text of it after all redactors."""

    redactors: tuple[Redactor, ...] = ()

    def __call__(self, request: Request, answer: Answer | None, /) -> dict[str, Any]:
        """Returns messages, parameters and the answers; `answer` is None where there was none."""
        choices = None if answer is None else [choice.message.to_dict() for choice in answer.choices]
        return {
            "messages": self._redacted(request.messages),
            "params": self._redacted(request.params),
            "answer": self._redacted(choices),
        }

    def _redacted(self, value: Any) -> Any:
        match value:
            case str():
                return self._text(value)
            case Mapping():
                return {key: self._redacted(inner) for key, inner in value.items()}
            case list() | tuple():
                return [self._redacted(inner) for inner in value]
            case _:
                return value

    def _text(self, text: str) -> str:
        for redactor in self.redactors:
            try:
                text = redactor(text)
            except Exception as error:  # noqa: BLE001 - a hook that fails must cost the caller no answer, and leak no text
                warn(f"a redactor raised {type(error).__name__}; the text is withheld")
                return WITHHELD
        return text
