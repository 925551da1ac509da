from __future__ import annotations

import base64
import traceback
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from router.core.alert import Alert, body_of
from router.errors import ConfigError, RouterError, WebhookError
from router.webhooks import new_secret, sign, verify

NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
SECRET, OTHER = new_secret(), new_secret()
SECRETS = st.binary(min_size=24, max_size=64).map(lambda key: f"whsec_{base64.b64encode(key).decode()}")
IDS = st.text("abcXYZ019_", min_size=1, max_size=40).map(lambda text: f"msg_{text}")
BODY = body_of(Alert(name="x", type="budget.threshold", time=NOW, data={"text": "80 % of $5 é"}))


def verified(
    headers: Mapping[str, str] | Iterable[tuple[str | bytes, str | bytes]],
    body: bytes | str = BODY,
    secrets: str | Iterable[str] = SECRET,
    **more: Any,
) -> Any:
    """Returns what comes of verifying, at the time of signing unless stated."""
    return verify(headers, body, secrets, **{"now": NOW, **more})


@given(key=SECRETS, message_id=IDS, text=st.text(max_size=50).filter(str.isprintable))
def test_the_reference_library_verifies_what_is_signed(key: str, message_id: str, text: str) -> None:
    """What we sign, `standardwebhooks` accepts, and so do we."""
    now = datetime.now(UTC)
    body = body_of(Alert(name="x", type="a.b", time=now, data={"text": text}))
    headers = sign(message_id, body, [OTHER, key], time=now)
    assert Webhook(key).verify(body, headers)["data"] == {"text": text}
    assert verify(headers, body, key).data == {"text": text}


@given(key=SECRETS, message_id=IDS, ahead_s=st.integers(-300, 300))
def test_what_the_reference_library_signs_is_verified(key: str, message_id: str, ahead_s: int) -> None:
    """What `standardwebhooks` signs, we accept, within five minutes both ways."""
    time = NOW + timedelta(seconds=ahead_s)
    signature = Webhook(key).sign(message_id, time, BODY.decode())
    headers = {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(time.timestamp())),
        "webhook-signature": signature,
    }
    event = verified(headers, secrets=key)
    assert (event.id, event.type, event.data) == (message_id, "budget.threshold", {"text": "80 % of $5 é"})


def test_headers_may_come_in_any_form() -> None:
    """Names in any case, as a mapping, as pairs, as the bytes of ASGI; a body as text or bytes."""
    headers = sign("msg_1", BODY, SECRET, time=NOW)
    forms: list[Any] = [
        {name.title(): value for name, value in headers.items()},
        list(headers.items()),
        [(name.upper().encode(), value.encode()) for name, value in headers.items()],
    ]
    for form in forms:
        assert verified(form).id == "msg_1"
        assert verified(form, BODY.decode()).id == "msg_1"


def test_secrets_may_rotate() -> None:
    """While a secret is replaced, either end may have the old, the new or both."""
    for signing, knowing in (([SECRET], [OTHER, SECRET]), ([OTHER, SECRET], [SECRET]), ([SECRET, OTHER], [OTHER])):
        assert verified(sign("msg_1", BODY, signing, time=NOW), secrets=knowing).id == "msg_1"
    bare = SECRET.removeprefix("whsec_").rstrip("=")
    assert verified(sign("msg_1", BODY, bare, time=NOW)).id == "msg_1"


@given(data=st.data())
def test_a_tampered_message_is_refused(data: st.DataObject) -> None:
    """Whatever is changed in body, id or time, the signature is wrong; so it is with another secret."""
    headers = sign("msg_1", BODY, SECRET, time=NOW)
    place = data.draw(st.integers(0, len(BODY) - 1))
    flipped = BODY[:place] + bytes([BODY[place] ^ 1]) + BODY[place + 1 :]
    changed: list[tuple[dict[str, str], bytes, str]] = [
        (headers, flipped, SECRET),
        (headers, BODY[:-1], SECRET),
        (headers | {"webhook-id": "msg_2"}, BODY, SECRET),
        (headers | {"webhook-timestamp": str(int(NOW.timestamp()) + 1)}, BODY, SECRET),
        (headers, BODY, OTHER),
        (headers | {"webhook-signature": "v1,"}, BODY, SECRET),
        (headers | {"webhook-signature": "v1,é\ud800"}, BODY, SECRET),
        (headers | {"webhook-id": "é\ud800"}, BODY, SECRET),
    ]
    for sent, body, secret in changed:
        with pytest.raises(WebhookError, match="no signature is right"):
            verified(sent, body, secret)


@pytest.mark.parametrize(
    ("off_s", "told"),
    [(301, "signed 301 s ago; allowed: 300 s"), (-301, "signed 301 s ahead of this machine's clock; allowed: 300 s")],
)
def test_a_stale_message_is_refused(off_s: int, told: str) -> None:
    """What was signed too long ago, or too far ahead, may be a copy that somebody kept."""
    headers = sign("msg_1", BODY, SECRET, time=NOW)
    with pytest.raises(WebhookError, match=told):
        verified(headers, now=NOW + timedelta(seconds=off_s))
    assert verified(headers, now=NOW + timedelta(seconds=off_s), tolerance_s=302).id == "msg_1"


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"webhook-id": ""}, "without the header webhook-id"),
        ({"webhook-timestamp": "", "webhook-signature": ""}, "webhook-timestamp, webhook-signature"),
        ({"webhook-timestamp": "soon"}, "whole Unix seconds"),
        ({"webhook-timestamp": "1e9"}, "whole Unix seconds"),
        ({"webhook-timestamp": "٣"}, "whole Unix seconds"),
        ({"webhook-timestamp": "9" * 5000}, "whole Unix seconds"),
        ({"webhook-signature": "v1a,abc v2,def"}, "no signature of version v1"),
        ({"webhook-signature": "nonsense"}, "no signature of version v1"),
    ],
)
def test_what_is_no_webhook_is_told(changed: dict[str, str], told: str) -> None:
    """The error says which header is missing or of no use."""
    with pytest.raises(WebhookError, match=told):
        verified(sign("msg_1", BODY, SECRET, time=NOW) | changed)


@pytest.mark.parametrize("body", [b"{}", b"not JSON", b"\xff", b"[" * 100_000])
def test_a_signed_body_that_is_no_event_is_refused(body: bytes) -> None:
    """Whoever knows the secret may still send nonsense."""
    with pytest.raises(WebhookError, match="signed, but the body is no event"):
        verified(sign("msg_1", body, SECRET, time=NOW), body)


@pytest.mark.parametrize(
    ("secrets", "told"),
    [
        ([], "there is no webhook secret"),
        ([SECRET, "whsec_!!!"], "webhook secret 2 is not base64"),
        ("whsec_" + base64.b64encode(b"x" * 23).decode(), "webhook secret 1 has 23 bytes"),
        (base64.b64encode(b"x" * 65).decode(), "webhook secret 1 has 65 bytes"),
        ("sécret", "webhook secret 1 is not base64"),
    ],
)
def test_a_secret_of_no_use_is_not_shown(secrets: str | list[str], told: str) -> None:
    """Both ends refuse it, say what one looks like, and do not show what they have."""
    headers = sign("msg_1", BODY, SECRET, time=NOW)
    for call in (lambda: sign("msg_1", BODY, secrets, time=NOW), lambda: verified(headers, secrets=secrets)):
        with pytest.raises(ConfigError, match=told) as caught:
            call()
        assert "whsec_ and the base64 of 24 to 64 random bytes" in str(caught.value)
        text = "".join(traceback.format_exception(caught.value, chain=True)[-1:])
        assert not any(secret in text for secret in ([secrets] if isinstance(secrets, str) else secrets))


def test_new_secrets_are_new() -> None:
    """Each is another, and of use to the reference library."""
    one, other = new_secret(), new_secret()
    assert one != other
    assert Webhook(one).sign("msg_1", NOW, "x") != Webhook(other).sign("msg_1", NOW, "x")
    assert issubclass(WebhookError, RouterError)
