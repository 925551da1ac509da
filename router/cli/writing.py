"""Files that commands write."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TextIO

from router.errors import RequestError

STDOUT: Final = Path("-")


@contextmanager
def writing(path: Path) -> Iterator[TextIO]:
    """Opens a file for writing, or standard output for "-".

    Raises:
        RequestError: it cannot be written.
    """
    if path == STDOUT:
        yield sys.stdout
        return
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            yield file
    except OSError as error:
        raise RequestError(f"{path}: cannot be written: {error.strerror}") from error
