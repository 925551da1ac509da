"""Answers at rest, encrypted: AES-GCM with a key that stands in the environment and nowhere else.

What is sealed is bound to its place: the same bytes under another content key, or as another piece of a stream, do not
open. Not hidden are its length, its content key, its label, and when it was written.

Nonces are random, 96 bits each. One key may so seal 2**32 values (NIST SP 800-38D, section 8.3), which is a hundred a
second for over a year; then, or whenever the key is changed, all that it sealed is a miss.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from typing import Final

from router.errors import ConfigError

_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_ALLOWED: Final = (
    f"allowed: {_KEY_BYTES} random bytes in hex or base64, as this prints them: "
    f'python -c "import secrets; print(secrets.token_hex({_KEY_BYTES}))"'
)


class Seal:
    """Encrypts and authenticates values; safe to use from several threads and after a fork.

    Args:
        key: 32 random bytes.

    Raises:
        ConfigError: the key has another length, or the package `cryptography` is not installed.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) != _KEY_BYTES:
            raise ConfigError(f"found a key of {len(key)} bytes to encrypt the cache with; {_ALLOWED}")
        try:
            # Imported on use: who encrypts nothing need not have it.
            from cryptography.exceptions import InvalidTag
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        except ImportError as error:
            raise ConfigError(
                "to encrypt the cache needs 'cryptography', which is not installed: pip install 'lowfare[encryption]'"
            ) from error
        self._cipher = AESGCM(key)
        self._refused = InvalidTag

    def __repr__(self) -> str:
        return "Seal(...)"

    def seal(self, data: bytes, about: bytes, /) -> bytes:
        """Returns data encrypted, its nonce before it.

        Args:
            data: what nobody else may read.
            about: where it belongs; must be the same when it is opened.
        """
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, data, about)

    def open(self, data: bytes, about: bytes, /) -> bytes | None:
        """Returns what was sealed; None where it was by another key or for another place, was changed, or never was."""
        if len(data) < _NONCE_BYTES + _TAG_BYTES:
            return None
        try:
            return self._cipher.decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], about)
        except self._refused:
            return None


def seal_from_env(name: str, environ: Mapping[str, str] = os.environ) -> Seal:
    """Returns a seal with the key that an environment variable holds, in hex or base64.

    Raises:
        ConfigError: the variable is missing or holds no such key; its value is never shown. Or as for `Seal`.
    """
    text = environ.get(name, "").strip()
    if not text:
        raise ConfigError(
            f"the environment variable {name!r}, for the key that encrypts the cache, is missing; {_ALLOWED}"
        )
    key = _key_from(text)
    if key is None or len(key) != _KEY_BYTES:
        raise ConfigError(f"the environment variable {name!r} holds no key (its value is not shown); {_ALLOWED}")
    return Seal(key)


def _key_from(text: str) -> bytes | None:
    """Returns the bytes that a text spells; None where it spells none.

    Hex goes first: its 64 digits are base64 as well, of 48 bytes.
    """
    if len(text) == 2 * _KEY_BYTES:
        try:
            return bytes.fromhex(text)
        except ValueError:
            return None
    padded = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(padded + "=" * (-len(padded) % 4), validate=True)
    except ValueError:
        return None
