"""Webhooks by Standard Webhooks 1.0.0 (https://www.standardwebhooks.com), for whoever sends and whoever receives.

    event = verify(request.headers, await request.body(), os.environ["LOWFARE_WEBHOOK_SECRET"])

What is signed is `id.timestamp.body`, with HMAC-SHA256. A secret is 24 to 64 random bytes, written as base64 after
"whsec_": `new_secret()` makes one. While a secret is replaced, senders sign with both and receivers know both.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets as randomness
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, cast

from router.core.alert import Event, event_of
from router.errors import ConfigError, WebhookError

__all__ = ["Event", "WebhookError", "new_secret", "sign", "verify"]

Headers = Mapping[str, str] | Iterable[tuple[str | bytes, str | bytes]]
"""What frameworks have for the headers of a request; the pairs of bytes are ASGI's."""

ID: Final = "webhook-id"
TIMESTAMP: Final = "webhook-timestamp"
SIGNATURE: Final = "webhook-signature"

TOLERANCE_S: Final = 300.0
"""How old a message may be, or how far ahead its sender's clock."""

_PREFIX: Final = "whsec_"
_LEAST_BYTES, _MOST_BYTES = 24, 64
_SECRET_FORM: Final = f"{_PREFIX} and the base64 of {_LEAST_BYTES} to {_MOST_BYTES} random bytes"
_DIGITS: Final = re.compile(r"[0-9]{1,11}")


def new_secret() -> str:
    """Returns a new secret of 32 random bytes, "whsec_...": for an environment variable, not for a file."""
    return _PREFIX + base64.b64encode(randomness.token_bytes(32)).decode()


def sign(message_id: str, body: bytes | str, secrets: str | Iterable[str], /, *, time: datetime) -> dict[str, str]:
    """Returns the three headers that go with a message.

    Args:
        message_id: the same however often it is sent.
        body: exactly as it is sent.
        secrets: one or more; the signature of each is put in.
        time: of this attempt to send it.

    Raises:
        ConfigError: a secret is of no use, or there is none; says why, without showing it.
    """
    timestamp = str(int(time.timestamp()))
    digests = [_digest(key, message_id, timestamp, _bytes(body)) for key in _keys(secrets)]
    signatures = " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests)
    return {ID: message_id, TIMESTAMP: timestamp, SIGNATURE: signatures}


def verify(
    headers: Headers,
    body: bytes | str,
    secrets: str | Iterable[str],
    /,
    *,
    tolerance_s: float = TOLERANCE_S,
    now: datetime | None = None,
) -> Event:
    """Returns what a webhook says, if somebody who knows a secret has just sent it so.

    The same message may come again, with the same `id`: whoever acts on it keeps the ids of those acted on.

    Args:
        headers: of the request; names in any case.
        body: of the request, exactly as it was received: what was parsed and written again has another signature.
        secrets: one or, while it is replaced, several; the signature of any is enough.
        tolerance_s: how old the message may be, or how far ahead the sender's clock, in seconds.
        now: the time; None is the machine's clock.

    Raises:
        WebhookError: a header is missing or malformed, the message is too old, no signature is right, or the body is no
            event; says which.
        ConfigError: a secret is of no use, or there is none; says why, without showing it.
    """
    keys = _keys(secrets)
    found = _lowered(headers)
    missing = [name for name in (ID, TIMESTAMP, SIGNATURE) if not found.get(name)]
    if missing:
        raise WebhookError(f"not a webhook: without the header {', '.join(missing)}")
    _check_age(found[TIMESTAMP], datetime.now(UTC) if now is None else now, tolerance_s)
    given = [signature for version, signature in map(_split, found[SIGNATURE].split()) if version == "v1"]
    if not given:
        raise WebhookError("the header webhook-signature has no signature of version v1")
    data = _bytes(body)
    wanted = [base64.b64encode(_digest(key, found[ID], found[TIMESTAMP], data)) for key in keys]
    # All pairs are compared, so that the time tells nothing of which one was right.
    if not sum(hmac.compare_digest(one, _raw(other)) for one in wanted for other in given):
        raise WebhookError("no signature is right: another secret signed it, or the body is not what was sent")
    try:
        return event_of(found[ID], data)
    except (ValueError, RecursionError) as error:
        raise WebhookError(f"signed, but the body is no event: {type(error).__name__}") from None


def checked_secrets(secrets: str | Iterable[str], /) -> tuple[str, ...]:
    """Returns secrets, if all of them are of use.

    Raises:
        ConfigError: one is not, or there is none; says why, without showing it.
    """
    listed = (secrets,) if isinstance(secrets, str) else tuple(secrets)
    _keys(listed)
    return listed


def _keys(secrets: str | Iterable[str]) -> list[bytes]:
    listed = [secrets] if isinstance(secrets, str) else list(secrets)
    if not listed:
        raise ConfigError(f"there is no webhook secret; write one as {_SECRET_FORM}")
    return [_key(secret, number) for number, secret in enumerate(listed, 1)]


def _key(secret: str, number: int) -> bytes:
    text = secret.strip().removeprefix(_PREFIX)
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ConfigError(f"webhook secret {number} is not base64 (not shown); write {_SECRET_FORM}") from None
    if not _LEAST_BYTES <= len(key) <= _MOST_BYTES:
        raise ConfigError(f"webhook secret {number} has {len(key)} bytes (not shown); write {_SECRET_FORM}")
    return key


def _digest(key: bytes, message_id: str, timestamp: str, body: bytes) -> bytes:
    return hmac.digest(key, b".".join((_raw(message_id), timestamp.encode(), body)), hashlib.sha256)


def _check_age(timestamp: str, now: datetime, tolerance_s: float) -> None:
    if not _DIGITS.fullmatch(timestamp):
        raise WebhookError("the header webhook-timestamp is not a time in whole Unix seconds")
    age_s = now.timestamp() - int(timestamp)
    if age_s > tolerance_s:
        raise WebhookError(f"signed {age_s:.0f} s ago; allowed: {tolerance_s:g} s")
    if age_s < -tolerance_s:
        raise WebhookError(f"signed {-age_s:.0f} s ahead of this machine's clock; allowed: {tolerance_s:g} s")


def _split(signature: str) -> tuple[str, str]:
    version, _, value = signature.partition(",")
    return version, value


def _lowered(headers: Headers) -> dict[str, str]:
    """Returns headers by name in small letters; of one that comes twice, the first, as nobody signs twice."""
    pairs = cast("Iterable[tuple[Any, Any]]", headers.items() if isinstance(headers, Mapping) else headers)
    found: dict[str, str] = {}
    for name, value in pairs:
        found.setdefault(_text(name).lower(), _text(value).strip())
    return found


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _raw(text: str) -> bytes:
    return text.encode(errors="replace")  # a header may hold anything; what is no text has no right signature


def _bytes(body: bytes | str) -> bytes:
    return _raw(body) if isinstance(body, str) else body
