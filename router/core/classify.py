"""From a provider's error to a failure of ours.

`classify` reads an HTTP error, or an error inside an HTTP success, in four steps that each have a file: `failure_body`
reads the provider's words, `failure_echo` and `failure_words` mask what of the request they repeat, and secrets,
`failure_rules` names the class, `waiting` reads how long the provider asks to wait. Failures without an HTTP answer
(`not_sent`, `timed_out`, `cut`) are the clients' to name: only they know how far the request got.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from router.core.failure import Failure
from router.core.failure_body import error_in, read_body
from router.core.failure_echo import unechoed
from router.core.failure_rule import Signs
from router.core.failure_rules import kind_of
from router.core.failure_words import plain, shown
from router.core.waiting import retry_after_s, should_retry

__all__ = ["LONGEST_CODE", "classify", "error_in"]

LONGEST_CODE: Final = 80
"""Characters of `Failure.code`; xAI's codes are sentences."""

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_HOST: Final = re.compile(r"(?i)(?:https?:)?//(?:[^/?#@]*@)?([a-z0-9.:\[\]_-]{1,255})")
"""The host of a `Location`, by RFC 3986, section 3; what stands before its `@` is a password."""


def classify(
    *,
    provider: str,
    status: int | None,
    headers: Mapping[str, str],
    body: bytes | str,
    now: datetime | None = None,
    asked: Iterable[str] = (),
) -> Failure:
    """Returns what a provider's error means; never raises, whatever the bytes.

    Args:
        provider: the provider's name, as in a model's id ("openai", "anthropic", "gemini", ...).
        status: HTTP status; 200 for an error object or event inside a success; None where there is none.
        headers: response headers, names in any case.
        body: the response body, or the payload of the one event that holds the error.
        now: the time the answer came, to read waits given as dates; without it those are None.
        asked: the request's texts, as `failure_echo.texts_of` yields them: no message repeats a run of theirs.
    """
    if status in _REDIRECTS:
        return _redirected(status, headers)
    said = read_body(body)
    effective = said.status if said.status is not None and (status is None or status < 400) else status
    words = plain(said.words)
    kind = kind_of(Signs(provider=provider.lower(), status=effective, codes=said.codes, words=words))
    texts = tuple(asked)
    believed = kind in ("refused", "out_of_quota")
    return Failure(
        kind=kind,
        message=shown(unechoed(words, texts)) or f"HTTP {status} without a message",
        status=status,
        code=shown(unechoed(plain(said.code), texts))[:LONGEST_CODE] if said.code else None,
        retry_after_s=retry_after_s(headers, said.text, now) if believed else None,
        should_retry=should_retry(headers),
    )


def _redirected(status: int | None, headers: Mapping[str, str]) -> Failure:
    """Returns the failure of an address that sends elsewhere: nobody follows, since the key would go along."""
    location = next((text for name, text in headers.items() if name.lower() == "location"), "")
    host = _HOST.match(location)
    where = f"to {host[1]}" if host is not None else "to another path of the same host" if location else "elsewhere"
    message = f"the address redirects {where}, which is not followed; set base_url to where it leads"
    return Failure(kind="no_such_model", message=message, status=status)
