"""Fixtures for tests of programs that use lowfare: `router`, `provider`, `clock`, `decisions`; see docs/testing.md."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from router import Router
    from router.testing import Decisions, ScriptedClient, VirtualClock

_WORDS = ("forbid", "allow")
_KEYWORDS = ("config", "real_calls")
_INI = "lowfare_real_calls"
_MARKER = (
    "lowfare(config=None, real_calls=None): the configuration of the fixture `router`, a TOML file or Settings; "
    'whether the test may ask providers, "forbid" or "allow"'
)
_refused: pytest.StashKey[list[list[str]]] = pytest.StashKey()
"""For each test, what was refused to it; one list for each block that refuses."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds what can be said for a whole run."""
    told = "whether tests may ask providers, and pay: forbid, allow; not said, those with fixtures of lowfare may not"
    parser.getgroup("lowfare").addoption("--lowfare-real-calls", choices=_WORDS, help=told)
    parser.addini(_INI, told)
    parser.addini("lowfare_config", "the configuration of the fixture `router`: a TOML file")


def pytest_configure(config: pytest.Config) -> None:
    """Says what the marker takes, and refuses words that mean nothing."""
    config.addinivalue_line("markers", _MARKER)
    said = config.getini(_INI)
    if said and said not in _WORDS:
        raise pytest.UsageError(f"{_INI}: found {said!r}; allowed: {', '.join(_WORDS)}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    """Forbids or allows real calls from a test's first fixture to its last, where somebody said so."""
    said = _said(item)
    if said is None:
        return (yield)
    with ExitStack() as blocks:
        _enter(item, blocks, said)
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, Any, Any]:
    """Fails a test whose marker means nothing, or whose fixtures were refused something, even if that was swallowed."""
    if fault := _fault(item):
        pytest.fail(fault, pytrace=False)
    return (yield from _told(item))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Fails a test that was refused something, even where that was swallowed."""
    return (yield from _told(item))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, Any, Any]:
    """Fails a test whose fixtures were refused something as they ended."""
    return (yield from _told(item))


@pytest.fixture
def _lowfare(request: pytest.FixtureRequest) -> Iterator[None]:
    """Forbids real calls, where nobody said anything about them."""
    with ExitStack() as blocks:
        if _said(request.node) is None:
            _enter(request.node, blocks, "forbid")
        yield


@pytest.fixture
def _loopback(request: pytest.FixtureRequest) -> Iterator[None]:
    """Keeps the test on this machine, unless it was allowed to ask providers."""
    from router.testing.guard import loopback_only

    if _said(request.node) == "allow":
        yield
        return
    with loopback_only() as refused:
        request.node.stash.setdefault(_refused, []).append(refused)
        yield


@pytest.fixture
def clock(_lowfare: None) -> VirtualClock:
    """The router's time: it stands still until somebody waits, and no wait takes any; `advance` lets it pass."""
    from router.testing import VirtualClock

    return VirtualClock()


@pytest.fixture
def provider(clock: VirtualClock) -> ScriptedClient:
    """What the models say: `answers`, `fails`, `script`; then `asked` and `calls`. Not told, each answers "ok"."""
    from router.testing import ScriptedClient

    return ScriptedClient(clock=clock)


@pytest.fixture
def decisions(_lowfare: None) -> Decisions:
    """The decisions of the test, oldest first: a list, and the sink of `router`."""
    from router.testing import Decisions

    return Decisions()


@pytest.fixture
def router(
    request: pytest.FixtureRequest,
    provider: ScriptedClient,
    clock: VirtualClock,
    decisions: Decisions,
    _loopback: None,
) -> Iterator[Router]:
    """A router that asks nobody, and what `router.complete` uses: `provider` answers, `decisions` has the records.

    Its configuration is that of `@pytest.mark.lowfare(config="config.toml")`, else of the ini option `lowfare_config`,
    else two models, `small` and `large`. The file is looked for beside the test's, then in the folders above.
    """
    from router.default import stand_in
    from router.testing import simulated_router

    with (
        simulated_router(_config(request), provider=provider, clock=clock, sinks=[decisions]) as made,
        stand_in(made),
    ):
        yield made


def _config(request: pytest.FixtureRequest) -> Any:
    from router.testing.simulated import found

    config: Any = _of_markers(request.node, "config") or request.config.getini("lowfare_config") or None
    if isinstance(config, str) or hasattr(config, "__fspath__"):
        return found(config, beside=request.path.parent, up_to=request.config.rootpath)
    return config


def _said(item: pytest.Item) -> str | None:
    """Returns whether the test may ask providers: the nearest marker counts, the command line, the ini file."""
    said = _of_markers(item, "real_calls")
    if said is not None and said not in _WORDS:  # which fails the test before anything of it runs
        return "forbid"
    return said or item.config.getoption("--lowfare-real-calls") or item.config.getini(_INI) or None


def _fault(item: pytest.Item) -> str | None:
    """Returns what is wrong with a marker of the test; None where all mean something."""
    for marker in item.iter_markers("lowfare"):
        if marker.args:
            return f"pytest.mark.lowfare: found {marker.args[0]!r} without a name; allowed: {', '.join(_KEYWORDS)}"
        unknown = [name for name in marker.kwargs if name not in _KEYWORDS]
        if unknown:
            return f"pytest.mark.lowfare: found {unknown[0]!r}; allowed: {', '.join(_KEYWORDS)}"
        said = marker.kwargs.get("real_calls")
        if said is not None and said not in _WORDS:
            return f"pytest.mark.lowfare: found real_calls={said!r}; allowed: {', '.join(_WORDS)}"
    return None


def _of_markers(item: pytest.Item, name: str) -> Any:
    """Returns what the nearest marker that says anything about it says."""
    return next((m.kwargs[name] for m in item.iter_markers("lowfare") if m.kwargs.get(name) is not None), None)


def _enter(item: pytest.Item, blocks: ExitStack, said: str) -> None:
    from router.testing import allow_real_calls, forbid_real_calls

    if said == "allow":
        blocks.enter_context(allow_real_calls())
    else:
        item.stash.setdefault(_refused, []).append(blocks.enter_context(forbid_real_calls()))


def _told(item: pytest.Item) -> Generator[None, Any, Any]:
    """Runs a phase of a test; fails it where something was refused."""
    try:
        result = yield
    except BaseException:
        if refused := _taken(item):  # what the test saw may be a consequence
            item.add_report_section("lowfare", "refused", _message(refused))
        raise
    if refused := _taken(item):
        pytest.fail(_message(refused), pytrace=False)
    return result


def _taken(item: pytest.Item) -> list[str]:
    """Returns what was refused since the last time."""
    lists = item.stash.get(_refused, [])
    refused = list(dict.fromkeys(name for names in lists for name in names))
    for names in lists:
        names.clear()
    return refused


def _message(refused: list[str]) -> str:
    return (
        f"this test tried to reach {', '.join(refused)}, and was refused: it may ask no provider, and with the fixture "
        f'`router` no other machine. If it is meant to: @pytest.mark.lowfare(real_calls="allow")'
    )
