"""How a command ends: what went wrong on stderr, in words, and an exit code that scripts can rely on."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer

from router.errors import ConfigError, RequestError, RouterError

OK = 0
FAILED = 1
"""The request, or the check, failed."""
USAGE = 2
"""The command line, the request or the configuration is wrong; nothing was sent. Also typer's own code."""
INTERRUPTED = 130
"""Ended by Ctrl-C: 128 and the number of SIGINT, as shells count."""


@contextmanager
def ending(*, as_json: bool, config_fault: int = USAGE) -> Iterator[None]:
    """Turns whatever a command raises on purpose into a message and an exit code; bugs keep their traceback.

    Args:
        as_json: whether stdout gets the error as JSON too.
        config_fault: the exit code of a `ConfigError`; for `check` a wrong configuration is a result.
    """
    try:
        with _readable_warnings():
            yield
        sys.stdout.flush()
    except RouterError as error:
        _tell(error, as_json=as_json)
        raise typer.Exit(config_fault if isinstance(error, ConfigError) else _code(error)) from None
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        raise typer.Exit(INTERRUPTED) from None
    except BrokenPipeError:
        # Who reads stdout (head, a pager) has seen enough. Python would fail once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(OK) from None


@contextmanager
def _readable_warnings() -> Iterator[None]:
    """Shows warnings as one line, without the place in the source that Python puts before them."""
    with warnings.catch_warnings():
        warnings.showwarning = _show
        yield


def _show(message: Warning | str, category: type[Warning], *_where: Any, **_more: Any) -> None:
    typer.echo(f"{category.__name__}: {message}", err=True)


def _code(error: RouterError) -> int:
    return USAGE if isinstance(error, RequestError) else FAILED


def _tell(error: RouterError, *, as_json: bool) -> None:
    from router.cli.terminal import err, print_json, shown

    if as_json:
        print_json(as_values(error))
    err().print(f"{type(error).__name__}: {shown(str(error))}", soft_wrap=True)


def as_values(error: RouterError) -> dict[str, Any]:
    """Returns an error as JSON values, with the decision of its request where there was one."""
    decision = error.decision
    return {
        "error": {"type": type(error).__name__, "message": str(error)},
        "decision": None if decision is None else decision.to_dict(),
    }
