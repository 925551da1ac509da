from __future__ import annotations

import base64
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import trustme
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from router.alerts.sink import Arrived, Failed, Gone
from router.alerts.webhook import WebhookSink
from router.errors import ConfigError
from router.webhooks import new_secret
from tests.alerts.receiver import CUT, SECRET, SLOW, Receiver, message

HOSTS = ("127.0.0.1",)


def sink(receiver: Receiver, **more: Any) -> WebhookSink:
    """Returns a sink of that receiver, whose host is allowed."""
    return WebhookSink(receiver.url, **{"secret": SECRET, "allow_hosts": HOSTS, **more})


async def test_a_message_arrives_as_it_is() -> None:
    """Body, id and a signature that the reference library verifies; each attempt has a time of its own."""
    now = datetime.now(UTC).replace(microsecond=0)
    async with Receiver() as receiver:
        webhook = sink(receiver)
        for second in (0, 1):
            assert await webhook.send(message(), time=now.replace(second=second)) == Arrived(note="200")
    one, other = receiver.received
    assert one.body == other.body == message().body
    assert one.id == other.id == message().id
    assert one.headers["webhook-timestamp"] != other.headers["webhook-timestamp"]
    assert one.headers["webhook-signature"] != other.headers["webhook-signature"]
    assert (one.headers["content-type"], one.headers["user-agent"]) == ("application/json", "lowfare")


async def test_only_who_knows_the_secret_verifies_it() -> None:
    """While a secret is replaced, either verifies; another, or another body, does not."""
    other = new_secret()
    async with Receiver() as receiver:
        await sink(receiver, secret=None, secrets=[other, SECRET]).send(message(), time=datetime.now(UTC))
    [received] = receiver.received
    assert received.verified(SECRET)["data"] == received.verified(other)["data"]
    for secret, body in ((new_secret(), received.body), (SECRET, received.body + b" ")):
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(body, dict(received.headers))


@pytest.mark.parametrize("status", [200, 201, 204, 299])
async def test_any_2xx_is_success(status: int) -> None:
    """Whoever answers 2xx has it."""
    async with Receiver(answers=[status]) as receiver:
        assert await sink(receiver).send(message(), time=datetime.now(UTC)) == Arrived(note=str(status))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 304])
async def test_a_redirect_is_a_failure(status: int) -> None:
    """It is not followed: nobody has checked where it leads."""
    async with Receiver(answers=[status]) as receiver:
        receiver.headers["location"] = receiver.url
        outcome = await sink(receiver).send(message(), time=datetime.now(UTC))
    assert outcome == Failed(note=f"{status}, a redirect, which is not followed")
    assert len(receiver.received) == 1


async def test_410_is_the_end() -> None:
    """Whoever answers 410 wants nothing any more."""
    async with Receiver(answers=[410]) as receiver:
        assert await sink(receiver).send(message(), time=datetime.now(UTC)) == Gone(note="410, gone")


@pytest.mark.parametrize(
    ("status", "header", "wait_s"),
    [
        (500, None, None),
        (400, None, None),
        (429, "120", 120.0),
        (503, "Sat, 28 Nov 2026 12:02:00 GMT", 120.0),
        (503, "soon", None),
    ],
)
async def test_failures_may_say_when_to_come_again(status: int, header: str | None, wait_s: float | None) -> None:
    """`retry-after` is read in seconds and as a date."""
    async with Receiver(answers=[status]) as receiver:
        receiver.headers |= {"retry-after": header} if header else {}
        receiver.headers["date"] = "Sat, 28 Nov 2026 12:00:00 GMT"
        outcome = await sink(receiver).send(message(), time=datetime.now(UTC))
    assert outcome == Failed(note=str(status), retry_after_s=wait_s)


async def test_a_cut_connection_and_none_at_all_are_failures() -> None:
    """The note says what kind of failure it was, and not where to."""
    async with Receiver(answers=[CUT]) as receiver:
        webhook = sink(receiver)
        cut = await webhook.send(message(), time=datetime.now(UTC))
    down = await webhook.send(message(), time=datetime.now(UTC))
    assert cut == Failed(note="no answer: ServerDisconnectedError")
    assert down == Failed(note="no answer: ClientConnectorError")


async def test_a_slow_receiver_is_a_failure() -> None:
    """Nobody waits longer than the time-out."""
    async with Receiver(answers=[SLOW]) as receiver:
        outcome = await sink(receiver, timeout_s=0.2).send(message(), time=datetime.now(UTC))
    assert outcome == Failed(note="no answer within 0.2 s")


async def test_https_is_verified(tmp_path: Path) -> None:
    """With the authority that signed the receiver's certificate it arrives, with the system's it does not."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    async with Receiver(tls=tls) as receiver:
        trusting = sink(receiver, ca_file=str(tmp_path / "ca.pem"))
        assert await trusting.send(message(), time=datetime.now(UTC)) == Arrived(note="200")
        outcome = await sink(receiver).send(message(), time=datetime.now(UTC))
    assert outcome == Failed(note="no answer: ClientConnectorCertificateError")
    assert len(receiver.received) == 1


async def test_a_name_that_leads_inside_is_not_followed() -> None:
    """A public name may point to a private address: what counts is the address that would be connected to."""
    webhook = WebhookSink("https://localhost/hook", secret=SECRET)
    outcome = await webhook.send(message(), time=datetime.now(UTC))
    assert outcome == Failed(note="its name leads to no public address, and allow_hosts does not list it")


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://example.com/hook", "is of http"),
        ("ftp://example.com/hook", "allowed: https"),
        ("https://user@example.com/hook", "a user or a password"),
        ("https://:pass@example.com/hook", "a user or a password"),
        ("https://example.com:8443/hook", "has the port 8443; allowed: 443"),
        ("https://127.0.0.1/hook", "is not a public address"),
        ("https://10.1.2.3/hook", "is not a public address"),
        ("https://169.254.169.254/latest/meta-data", "is not a public address"),
        ("https://168.63.129.16/metadata", "is not a public address"),
        ("https://0.0.0.0/hook", "is not a public address"),
        ("https://2130706433/hook", "is not a public address"),
        ("https://0x7f.1/hook", "is not a public address"),
        ("https://127.1/hook", "is not a public address"),
        ("https://[::1]/hook", "is not a public address"),
        ("https://[::ffff:10.0.0.1]/hook", "is not a public address"),
        ("https://[::127.0.0.1]/hook", "is not a public address"),
        ("https://[fd00:ec2::254]/hook", "is not a public address"),
        ("https://[fe80::1%25eth0]/hook", "is not a public address"),
        ("/hook", "names no host"),
        ("https:///hook", "names no host"),
        ("https://[::1/hook", "cannot be read"),
        ("https://example.com:99999/hook", "cannot be read"),
    ],
)
def test_what_is_not_allowed_is_refused(url: str, told: str) -> None:
    """Before anything is sent, with what is allowed, and no more of the address than its host."""
    with pytest.raises(ConfigError, match=told) as caught:
        WebhookSink(url, secret=SECRET)
    assert "hook" not in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("http://localhost:8080/hook", ["localhost"]),
        ("http://LOCALHOST.:8080/hook", ["localhost:8080"]),
        ("https://10.1.2.3:8443/hook", ["example.com", "10.1.2.3"]),
        ("https://[::1]/hook", ["::1"]),
        ("https://example.com/hook", []),
        ("https://[2606:4700::1111]/hook", []),
        ("https://192.0.2.1.example.com/hook", []),
    ],
)
def test_hosts_may_be_allowed(url: str, hosts: Sequence[str]) -> None:
    """A host that is listed may be anything; a port behind it is the only one then."""
    WebhookSink(url, secret=SECRET, allow_hosts=hosts)
    if hosts:
        with pytest.raises(ConfigError, match=r"allow_hosts = "):
            WebhookSink(url, secret=SECRET, allow_hosts=["elsewhere", f"{hosts[-1].partition(':8')[0]}:9"])


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"secret": None}, "there is no webhook secret"),
        ({"secrets": ["x"]}, "webhook secret 2 is not base64"),
        ({"secret": base64.b64encode(b"short").decode()}, "24 to 64"),
        ({"timeout_s": 0}, "up to 30"),
        ({"timeout_s": 31}, "up to 30"),
        ({"allow_hosts": "localhost"}, "list of hosts"),
        ({"allow_hosts": [1]}, "list of hosts"),
        ({"ca_file": "/nowhere.pem"}, "cannot be read as certificates: FileNotFoundError"),
    ],
)
def test_options_of_no_use_are_refused(options: dict[str, Any], told: str) -> None:
    """They are refused when the sink is made, and say what is allowed."""
    with pytest.raises(ConfigError, match=told):
        WebhookSink("https://example.com/hook", **{"secret": SECRET, **options})
