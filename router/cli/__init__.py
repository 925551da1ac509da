"""`lowfare`, the command: it parses, calls and prints; what it prints, the rest of the package computes."""

import errno
import os
import sys

_UNWRITABLE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF})
"""Why what stdout leads to takes no more: a full disk, a quota, a lost mount."""
_NARROWEST = 20
"""Columns, below which nothing can be laid out. Some terminals and job runners say 0 where they do not know."""


def main() -> None:
    """Runs the command line; the console script's entry point."""
    for name, number in (("stdout", 1), ("stderr", 2)):
        if getattr(sys, name) is None:  # closed by who started the command: Python leaves None in its place
            setattr(sys, name, os.fdopen(_nowhere(number), "w"))
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns) < _NARROWEST:
        del os.environ["COLUMNS"]
    try:
        # Imported here, so that `import router.cli` in a test or a tool costs nothing.
        from router.cli.app import app

        try:
            app()
        finally:
            sys.stdout.flush()
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(130)
    except OSError as error:
        if error.filename is not None or error.errno not in _UNWRITABLE:
            raise
        _nowhere(1)  # Python would fail once more when it flushes at exit
        sys.stderr.write(f"cannot write to stdout: {error.strerror}\n")
        sys.exit(1)


def _nowhere(number: int) -> int:
    """Lets a file descriptor lead nowhere, and returns it."""
    null = os.open(os.devnull, os.O_WRONLY)
    if null != number:
        os.dup2(null, number)
        os.close(null)
    return number
