"""Exact token counts by tiktoken, from the vocabulary inside the litellm wheel; never from the network.

tiktoken alone downloads a vocabulary that it does not find in its cache. So its cache is pointed at litellm's copy
while it loads, and only after that copy's digest is seen to be the right one: tiktoken deletes a file that differs,
and downloads another.
"""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from router.errors import warn
from router.state.process import PerProcess

if TYPE_CHECKING:
    from tiktoken import Encoding

_NAME: Final = "o200k_base"
_FILE: Final = "fb374d419588a4632f3f557e76b4b70aebbca790"
"""SHA-1 of the address that tiktoken has for o200k_base: how its cache names files (`tiktoken.load`)."""
_DIGEST: Final = "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"
"""`expected_hash` of o200k_base in `tiktoken_ext.openai_public`."""
_CACHE_DIR: Final = "TIKTOKEN_CACHE_DIR"
_CHUNK: Final = 65_536
"""Characters that are counted at once: tiktoken panics, with no `Exception`, on a million blanks in a row."""
_NEAR: Final = 2048
_BETWEEN_WORDS: Final = re.compile(r"\S \S")


def bundled_vocabularies(package: str = "litellm") -> Path:
    """Returns the folder of vocabularies inside litellm, found without importing it.

    Raises:
        FileNotFoundError: there is no such package.
    """
    spec = find_spec(package)
    places = spec.submodule_search_locations if spec is not None else None
    if not places:
        raise FileNotFoundError(f"{package} is not installed")
    return Path(places[0], "litellm_core_utils", "tokenizers")


class Tokenizer:
    """Counts tokens of o200k_base. The vocabulary is loaded by the first count (0.3 s), once, from any thread.

    Args:
        folder: where the vocabulary is; None is litellm's copy.
    """

    encoding: Final = _NAME

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._lock = PerProcess(threading.Lock(), lambda _: threading.Lock())
        self._encoding: Encoding | None = None
        self._tried = False

    def count(self, text: str, /) -> int | None:
        """Returns the number of tokens; None where the vocabulary cannot be loaded."""
        encoding = self._encoding if self._tried else self.load()
        if encoding is None:
            return None
        if len(text) <= _CHUNK:
            return len(encoding.encode_ordinary(text))
        return sum(len(encoding.encode_ordinary(chunk)) for chunk in _chunks(text))

    def load(self) -> Encoding | None:
        """Returns the vocabulary, loaded if it is not yet; None, with one warning, where it cannot be."""
        with self._lock.get():
            if not self._tried:
                try:
                    self._encoding = _load(self._folder)
                except Exception as error:  # noqa: BLE001 - whatever it is, a count must not cost the caller an answer
                    warn(
                        f"tokens are estimated, not counted: o200k_base cannot be loaded "
                        f"({type(error).__name__}: {error})"
                    )
                self._tried = True
        return self._encoding


def _load(folder: Path | None) -> Encoding:
    folder = bundled_vocabularies() if folder is None else folder
    digest = hashlib.sha256((folder / _FILE).read_bytes()).hexdigest()
    if digest != _DIGEST:
        raise ValueError(f"{_FILE} has the digest {digest}, expected {_DIGEST}")
    from tiktoken import Encoding
    from tiktoken.registry import ENCODINGS
    from tiktoken_ext.openai_public import ENCODING_CONSTRUCTORS  # type: ignore[import-untyped]  # has no annotations

    before = os.environ.get(_CACHE_DIR)
    os.environ[_CACHE_DIR] = str(folder)
    try:
        # Not `get_encoding`, which loads under a lock of its own: a child forked meanwhile would wait for it for ever.
        known = ENCODINGS.get(_NAME)
        return ENCODINGS.setdefault(_NAME, Encoding(**ENCODING_CONSTRUCTORS[_NAME]())) if known is None else known
    finally:
        if before is None:
            del os.environ[_CACHE_DIR]
        else:
            os.environ[_CACHE_DIR] = before


def _chunks(text: str) -> Iterator[str]:
    """Yields a long text in pieces, cut before the blank between two words, where no token of o200k_base runs across.

    A piece without one near its end is cut anywhere, which costs a token or two.
    """
    start = 0
    while start < len(text):
        end = start + _CHUNK
        if end < len(text):
            blanks = [found.start() + 1 for found in _BETWEEN_WORDS.finditer(text, end - _NEAR, end)]
            end = blanks[-1] if blanks else end
        yield text[start:end]
        start = end
