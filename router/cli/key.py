"""`lowfare key`: what a request's answer is kept under, and the bytes that it is the digest of."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from router.cli.asking import Asked, settings_of
from router.cli.terminal import err, print_json, shown
from router.core.key import canonical, dropped
from router.core.machine import NO_POLICY
from router.core.parse import parse_request
from router.core.request import Hints
from router.intake import known
from router.setup import Setup, setup_of


def run(asked: Asked, *, config: Path | None, hash_only: bool, as_json: bool) -> None:
    """Prints the canonical form of a request on one line, then its content key; calls nobody."""
    setup = setup_of(settings_of(config))
    request = parse_request(asked.prompt, **asked.options)
    policy = _policy(request.hints, setup)
    drop = setup.terms[policy].drop
    form = canonical(request, policy, drop=drop)
    key = hashlib.sha256(form).hexdigest()
    rules = dropped(request, drop)
    if as_json:
        print_json({"key": key, "policy": policy, "canonical": form.decode(), "dropped": rules})
    else:
        _write(b"" if hash_only else form + b"\n", key.encode() + b"\n")
    if rules:
        err().print(f"left out of the key by the rules of policy {policy}: {', '.join(rules)}", soft_wrap=True)


def _policy(hints: Hints, setup: Setup) -> str:
    """Returns the policy's name as it stands in the key.

    Raises:
        RequestError: the request names a policy or a model that is not configured.
    """
    policy = hints.policy or setup.default_policy
    known("policy", policy, setup.policies)
    if hints.model is None:
        return policy
    known("model", hints.model, setup.catalog)
    return policy if hints.policy is not None else NO_POLICY


def _write(*lines: bytes) -> None:
    """Writes bytes as they are into a pipe, whatever its encoding; onto a terminal without what would drive it."""
    if sys.stdout.isatty():
        sys.stdout.write(shown(b"".join(lines).decode()))
    else:
        sys.stdout.buffer.write(b"".join(lines))
    sys.stdout.flush()
