"""Sends alerts as Standard Webhooks 1.0.0."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from router.alerts.post import TIMEOUT_S, checked_address, post
from router.alerts.sink import Outcome
from router.core.alert import Message
from router.webhooks import checked_secrets, sign


class WebhookSink:
    """Posts alerts to a receiver, signed anew each time.

    Args:
        url: of https, with no user and no port.
        secret: which the receiver knows.
        secrets: the same, where there are several while one replaces another.
        allow_hosts: hosts that may be reached without TLS, on any port and in the own network.
        timeout_s: how long one attempt may take, up to 30 s.
        ca_file: certificates of authorities to trust instead of the system's, as PEM.

    Raises:
        ConfigError: the address is not allowed, or a secret is of no use; shows neither.
    """

    def __init__(
        self,
        url: str,
        *,
        secret: str | None = None,
        secrets: Sequence[str] = (),
        allow_hosts: Sequence[str] = (),
        timeout_s: float = TIMEOUT_S,
        ca_file: str | None = None,
    ) -> None:
        self._address = checked_address(url, allow_hosts=allow_hosts, timeout_s=timeout_s, ca_file=ca_file)
        self._secrets = checked_secrets([*([] if secret is None else [secret]), *secrets])

    async def send(self, message: Message, /, *, time: datetime) -> Outcome:
        """Posts a message once."""
        return await post(
            self._address, message.body, sign(message.id, message.body, self._secrets, time=time), time=time
        )
