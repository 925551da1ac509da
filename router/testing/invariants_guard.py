"""Catches a policy that looks at the clock, at chance, at the environment or at files while it decides.

Nothing is replaced: the interpreter tells of each call (`sys.setprofile`), and those that are not a function of the
arguments are known by their function. What a policy would call only in rare cases is found in its bytecode.
"""

from __future__ import annotations

import builtins
import datetime as dt
import dis
import gc
import io
import os
import random
import secrets
import sys
import sysconfig
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import BuiltinFunctionType, CodeType, FrameType, FunctionType, ModuleType
from typing import Any, Final

from router import Context, Policy, Slate, statics
from router.testing.strategies_vocabulary import functions_of, inner_codes

_CHANCE: Final[Any] = getattr(random.random, "__self__")  # noqa: B009 - the generator behind the module, which is untyped
_READS: Final[Mapping[Any, str]] = {
    **{getattr(time, name): "the clock" for name in ("time", "monotonic", "perf_counter", "process_time", "sleep")},
    **{getattr(time, f"{name}_ns"): "the clock" for name in ("time", "monotonic", "perf_counter", "process_time")},
    os.urandom: "chance",
    uuid.uuid1: "the clock",
    uuid.uuid4: "chance",
    secrets.choice: "chance",
    secrets.randbelow: "chance",
    secrets.token_hex: "chance",
    os.getenv: "the environment",
    open: "a file",
    io.open_code: "a file",
    os.open: "a file",
    os.listdir: "a file",
    os.scandir: "a file",
    input: "a terminal",
}
_NOW: Final = frozenset({"now", "utcnow", "today"})
_ENVIRON: Final = frozenset(
    function.__code__
    for name in ("__getitem__", "__iter__", "__len__", "__setitem__", "__delitem__")
    if isinstance(function := getattr(type(os.environ), name), FunctionType)
)
_NETWORK: Final = frozenset({"socket", "ssl", "http.client", "subprocess", "urllib.request"})
_STDLIB: Final = sysconfig.get_path("stdlib")


@dataclass(frozen=True, slots=True)
class Read:
    """What a policy looked at besides its arguments, by which call, and in which line."""

    what: str
    call: str
    where: str

    def __str__(self) -> str:
        return f"{self.what} ({self.call}, {self.where})"


def reads_during(policy: Policy, slate: Slate, context: Context, /) -> Read | None:
    """Returns the first thing that a policy looks at besides its arguments while it decides; None where it does not.

    It must have been called before: what Python imports on the way the first time is not the policy's doing.
    """
    found: list[Read] = []

    def watch(frame: FrameType, event: str, function: Any) -> None:
        if found:
            return
        if event == "c_call":
            what = _what(function)
            if what is not None:
                found.append(Read(what, _called(function), _line(frame)))
        elif event == "call":
            if frame.f_code in _ENVIRON:
                found.append(Read("the environment", "os.environ", _line(frame)))
            elif frame.f_globals.get("__name__") in _NETWORK:
                found.append(Read("the network", frame.f_code.co_qualname, _line(frame)))

    before, collects = random.getstate(), gc.isenabled()
    profile: Any = sys.getprofile()
    if profile is not None and not callable(profile):
        return None  # a profiler that is written in C could not be put back
    gc.disable()  # finalizers, and those who are told of a collection, may look at the clock
    sys.setprofile(watch)
    try:
        policy(slate, context)
    finally:
        sys.setprofile(profile)
        if collects:
            gc.enable()
    if not found and random.getstate() != before:
        return Read("chance", "random", "in code that is no Python")
    return found[0] if found else None


def reads_in_code(policy: Policy, /) -> Read | None:
    """Returns what the code of a policy, or of one inside it, would look at in some case; None where nothing is found.

    Only what `__call__` can reach by the names in it is searched; a policy may read the environment when it is made.
    """
    for _, part in statics.parts(policy):
        functions = {function.__name__: function for function in reversed(list(functions_of(part)))}
        start = "__call__" if "__call__" in functions else next(iter(functions), None)
        reached, waiting = set[str](), [start] if start is not None else []
        while waiting:
            name = waiting.pop()
            if name in reached or name not in functions:
                continue
            reached.add(name)
            for code in inner_codes(functions[name].__code__):
                waiting.extend(code.co_names)
                for read in _mentions(code, functions[name].__globals__):
                    return read
    return None


def _mentions(code: CodeType, names: Mapping[str, Any]) -> Iterator[Read]:
    """Yields what a function's code names: `time.time`, whichever way the module is called there."""
    thing: Any = None
    path = ""
    for step in dis.get_instructions(code):
        if step.opname in {"LOAD_GLOBAL", "LOAD_NAME"}:
            thing, path = names.get(step.argval, getattr(builtins, str(step.argval), None)), str(step.argval)
        elif step.opname in {"LOAD_ATTR", "LOAD_METHOD"} and isinstance(thing, ModuleType | type):
            thing, path = getattr(thing, str(step.argval), None), f"{path}.{step.argval}"
        elif step.opname not in {"CACHE", "PUSH_NULL"}:
            thing = None
        what = "the environment" if thing is os.environ else _what(thing)
        if what is not None:
            line = step.positions.lineno if step.positions else code.co_firstlineno
            yield Read(what, path, f"{code.co_filename}:{line}")


def _what(function: Any) -> str | None:
    """Returns what a call of this function reads besides its arguments; None where nothing."""
    owner = getattr(function, "__self__", None)
    if owner is _CHANCE or isinstance(owner, random.SystemRandom):
        return "chance"
    if isinstance(owner, type) and issubclass(owner, dt.date) and function.__name__ in _NOW:
        return "the clock"
    # A method is not looked up: it hashes its owner, which need not be hashable.
    if isinstance(function, BuiltinFunctionType | FunctionType) and isinstance(owner, ModuleType | None):
        return _READS.get(function)
    return None


def _called(function: Any) -> str:
    owner = getattr(function, "__self__", None)
    name = owner.__name__ if isinstance(owner, type | ModuleType) else type(owner).__name__
    return f"{name}.{function.__name__}" if owner is not None else function.__name__


def _line(frame: FrameType) -> str:
    """Returns the line of the policy, or of what it uses, from where the standard library was called."""
    here: FrameType | None = frame
    while here is not None and here.f_code.co_filename.startswith((_STDLIB, "<frozen")):
        if "site-packages" in here.f_code.co_filename:
            break
        here = here.f_back
    found = frame if here is None else here
    return f"{found.f_code.co_filename}:{found.f_lineno}"
