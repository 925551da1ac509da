"""The plugin for pytest: what its fixtures give, what they keep from happening, and what a test is told then."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from router import ProviderError, Router
from router.testing import Decisions, ScriptedClient, VirtualClock, as_code

pytest_plugins = "pytester"

CONFIG = """
[models.one]
id = "deepseek/deepseek-v3.2"

[models.other]
id = "anthropic/claude-sonnet-4-5"

[policies.default]
kind = "fallback"
models = ["one", "other"]
"""
# In the order of the file, and without what other plugins would say of a project that has not set them up.
_QUIET = ("-p", "no:randomly", "-p", "no:asyncio", "-p", "no:cacheprovider")
REAL = """
from router import Router, RouterError, Settings

def real():
    return Router(Settings(models={"m": {"id": "deepseek/deepseek-v3.2"}}))
"""


@pytest.fixture
def run(pytester: pytest.Pytester) -> Run:
    """Returns what runs a test file under the plugin in this process, and returns what came of it."""
    return Run(pytester)


class Run:
    """One folder with tests."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self._pytester = pytester
        self.path = pytester.path

    def __call__(self, source: str, *options: str, **outcomes: int) -> str:
        """Runs a file of tests; returns what pytest printed once it came to these outcomes."""
        self._pytester.makepyfile(source)
        found = self.whatever_comes(*options)
        found.assert_outcomes(**outcomes)
        return str(found.stdout)

    def whatever_comes(self, *options: str) -> pytest.RunResult:
        """Runs all tests that there are."""
        return self._pytester.runpytest_inprocess(*_QUIET, *options)


def test_the_router_answers_without_a_provider(router: Router, decisions: Decisions, provider: ScriptedClient) -> None:
    """It has two models and a policy; each model answers "ok", and the decisions are kept in order."""
    assert router.complete("hi").text == "ok"
    assert router.complete("hi", model="large").text == "ok"
    assert [decision.model for decision in decisions] == ["small", "large"] == provider.asked


def test_failures_come_in_the_order_they_were_told(
    router: Router, provider: ScriptedClient, clock: VirtualClock, decisions: Decisions
) -> None:
    """What a model is told it says first; the waits between its attempts pass at once."""
    provider.fails("small", "refused", retry_after_s=20)
    provider.answers("small", "at last", input_tokens=1_000_000, output_tokens=0)
    provider.fails("large", "denied")
    reply = router.complete("hi")
    assert (reply.text, reply.model) == ("at last", "small")
    assert reply.cost_usd == Decimal("0.10")
    assert clock.monotonic() >= 20
    assert [attempt.outcome for attempt in decisions[0].attempts] == ["refused", "denied", "answer"]


async def test_the_router_serves_coroutines_and_streams(router: Router, provider: ScriptedClient) -> None:
    """An asynchronous test uses the same router."""
    provider.answers("small", "one", "two")
    assert (await router.acomplete("hi")).text == "one"
    assert "".join([chunk.text async for chunk in router.astream("hi")]) == "two"


def test_the_functions_of_the_module_use_the_router_too(run: Run) -> None:
    """Code that calls `router.complete` is simulated with it, and is its own again afterwards."""
    told = run(
        """
        import router as lowfare
        import pytest
        from router.testing import RealCallRefused

        def test_with(router, provider):
            provider.answers("small", "from the script")
            assert lowfare.complete("hi").text == "from the script"
            assert lowfare.default_router() is router

        def test_without(decisions):
            with pytest.raises((lowfare.ConfigError, RealCallRefused)):
                lowfare.complete("hi")
        """,
        passed=2,
    )
    assert "2 passed" in told


def test_a_late_answer_takes_virtual_time(router: Router, provider: ScriptedClient, clock: VirtualClock) -> None:
    """What is told to take seconds takes them on the clock alone, and fails where the attempt has fewer."""
    provider.answers("small", "slow", after_s=3)
    assert router.complete("hi", deadline_s=10).text == "slow"
    assert clock.monotonic() == 3
    provider.fails("small", "server_error", after_s=500)
    with pytest.raises(ProviderError, match="timed_out"):
        router.complete("hi", deadline_s=20)
    assert clock.monotonic() == 3 + 20


def test_a_misspelt_model_is_refused(router: Router, provider: ScriptedClient) -> None:
    """A script for a model that there is not would never be read: it is an error, with what was probably meant."""
    with pytest.raises(ValueError, match=r"no model is named 'smal'; allowed: large, small \(did you mean 'small'\?\)"):
        provider.answers("smal", "hi")
    with pytest.raises(ValueError, match=r"'refuse' is no class of failures; .*did you mean 'refused'"):
        provider.fails("small", "refuse")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] - as a user might


@pytest.mark.parametrize("where", ["marker", "ini", "above"])
def test_the_router_runs_any_configuration(run: Run, where: str) -> None:
    """A file of the user's own, named by a marker or the ini option, beside the test or above it; nobody is asked."""
    folder = run.path / "checks" if where == "above" else run.path
    folder.mkdir(exist_ok=True)
    (run.path / "config.toml").write_text(CONFIG + '[cache]\nbackend = "redis"\nurl = "redis://redis.example.com"\n')
    marked = '@pytest.mark.lowfare(config="config.toml")' if where != "ini" else ""
    (folder / "test_own.py").write_text(
        f"import pytest\n{marked}\n"
        "def test_own(router, provider, decisions):\n"
        '    provider.fails("one", "no_such_model")\n'
        '    assert [router.complete("hi", temperature=0).model for _ in range(2)] == ["other", "other"]\n'
        '    assert [decision.cache for decision in decisions] == ["none", "memory"]\n'
        '    assert provider.asked == ["one", "other"]\n'
    )
    options = ["-o", "lowfare_config=config.toml"] if where == "ini" else []
    run("def test_nothing(): pass", "--rootdir", str(run.path), *options, passed=2)


def test_a_missing_configuration_is_an_error(run: Run) -> None:
    """It says which file was looked for, and where."""
    told = run(
        """
        import pytest

        @pytest.mark.lowfare(config="confg.toml")
        def test_it(router): ...
        """,
        errors=1,
    )
    assert f"found no file 'confg.toml'; looked into {run.path}" in told


def test_settings_may_be_made_in_code(run: Run) -> None:
    """The marker takes Settings, too."""
    run(
        """
        import pytest
        from router import Settings

        @pytest.mark.lowfare(config=Settings(models={"only": {"id": "deepseek/deepseek-v3.2"}}))
        def test_it(router):
            assert router.complete("hi").model == "only"
        """,
        passed=1,
    )


SWALLOWED = """
import contextlib, socket

def test_swallowed(router):
    with contextlib.suppress(OSError):
        socket.create_connection(("192.0.2.1", 80), timeout=1)

def test_looked_up(router):
    with contextlib.suppress(OSError):
        socket.getaddrinfo("api.example.com", 443)

def test_loopback(router):
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname()).close()
"""


def test_a_test_that_leaves_the_machine_fails(run: Run) -> None:
    """Even where it swallows the refusal it fails, and is told whom it tried to reach; loopback is allowed."""
    told = run(SWALLOWED, failed=2, passed=1)
    assert "this test tried to reach 192.0.2.1, and was refused" in told
    assert "this test tried to reach api.example.com, and was refused" in told


FIXTURES = """
import contextlib, socket, pytest

def look_up(name):
    with contextlib.suppress(OSError):
        socket.getaddrinfo(name, 443)

@pytest.fixture
def before(router):
    look_up("before.example.com")

@pytest.fixture
def after(router):
    yield
    look_up("after.example.com")

def test_before(before): ...
def test_after(after): ...

def test_consequence(router):
    look_up("during.example.com")
    assert False, "what followed from it"
"""


def test_fixtures_are_watched_too(run: Run) -> None:
    """What a fixture tries as it begins or ends is told, and what a failing test tried stands beside its error."""
    told = run(FIXTURES, errors=2, passed=1, failed=1)
    for name in ("before", "after", "during"):
        assert f"tried to reach {name}.example.com" in told
    assert "what followed from it" in told


def test_real_clients_are_refused(run: Run) -> None:
    """With any of the fixtures a router of one's own asks no provider, and a refusal that is swallowed is told."""
    told = run(
        REAL
        + """
def test_refused(decisions):
    with real() as own:
        own.complete("hi")

def test_swallowed(clock):
    with real() as own:
        try:
            own.complete("hi", stream=False)
        except RuntimeError:
            pass

def test_without_a_fixture():
    with real() as own:
        assert own.plan("hi").slate.live
""",
        failed=2,
        passed=1,
    )
    assert "RealCallRefused: refused to ask a provider by the client 'openai': real calls are forbidden here" in told
    assert "this test tried to reach a provider by the client 'openai', and was refused" in told


@pytest.mark.parametrize(
    ("ini", "option", "marker", "refused"),
    [
        ("", "", "", False),
        ("forbid", "", "", True),
        ("allow", "forbid", "", True),
        ("forbid", "allow", "", False),
        ("forbid", "forbid", "allow", False),
        ("allow", "allow", "forbid", True),
    ],
)
def test_the_nearest_word_counts(run: Run, ini: str, option: str, marker: str, refused: bool) -> None:
    """The ini file says it of all tests, with fixtures or without; the command line goes first, a marker before it."""
    source = f"""
import pytest
from router.clients.real import RealCallRefused, refuse_if_forbidden
{f'pytestmark = pytest.mark.lowfare(real_calls="{marker}")' if marker else ""}

def test_it():
    refuse_if_forbidden("acme")
"""
    options = [
        *(("-o", f"lowfare_real_calls={ini}") if ini else ()),
        *((f"--lowfare-real-calls={option}",) if option else ()),
    ]
    run(source, *options, **({"failed": 1} if refused else {"passed": 1}))


def test_what_is_allowed_is_allowed_with_fixtures(run: Run) -> None:
    """Where a test may ask providers, no socket is refused to it, though its router stays a simulated one."""
    run(
        """
        import socket
        import pytest
        from router.testing import loopback_only, NetworkRefused

        @pytest.mark.lowfare(real_calls="allow")
        def test_it(router, provider):
            with loopback_only() as refused:  # whoever else refuses it, the plugin does not say so
                with pytest.raises(NetworkRefused):
                    socket.getaddrinfo("api.example.com", 443)
            assert router.complete("hi").text == "ok"
        """,
        passed=1,
    )


def test_words_that_mean_nothing_are_refused(run: Run) -> None:
    """In the ini file and in a marker: the error says what is allowed."""
    (run.path / "test_it.py").write_text("def test_it(): ...")
    found = run.whatever_comes("-o", "lowfare_real_calls=never")
    assert "lowfare_real_calls: found 'never'; allowed: forbid, allow" in str(found.stderr)
    (run.path / "test_it.py").write_text(
        'import pytest\n\n@pytest.mark.lowfare(real_calls="never")\ndef test_it(clock): ...\n'
    )
    found = run.whatever_comes()
    assert "found real_calls='never'; allowed: forbid, allow" in str(found.stdout)


@pytest.mark.parametrize(
    ("marker", "told"),
    [
        ('real_calls="never"', "found real_calls='never'; allowed: forbid, allow"),
        ('real_call="allow"', "found 'real_call'; allowed: config, real_calls"),
        ('"a.toml"', "found 'a.toml' without a name; allowed: config, real_calls"),
    ],
)
def test_a_marker_that_means_nothing_fails_its_test(run: Run, marker: str, told: str) -> None:
    """That test alone, before anything of it runs; the error says what is allowed."""
    source = f"import pytest\n\n@pytest.mark.lowfare({marker})\ndef test_it(router): ...\n\ndef test_other(router): ..."
    assert f"pytest.mark.lowfare: {told}" in run(source, errors=1, passed=1)


def test_fixtures_of_ones_own_come_first(run: Run) -> None:
    """A project with fixtures of the same names keeps them, and nothing is forbidden there."""
    run(
        """
        import pytest
        from router.clients.real import refuse_if_forbidden

        @pytest.fixture
        def clock():
            return "mine"

        @pytest.fixture
        def router():
            return "mine too"

        def test_it(clock, router):
            assert (clock, router) == ("mine", "mine too")
            refuse_if_forbidden("acme")
        """,
        passed=1,
    )


PROBE = """
import json, sys
import pytest

class Probe:
    def pytest_unconfigure(self):
        print("LOADED", json.dumps(sorted(sys.modules)))

sys.exit(pytest.main([*sys.argv[1:], "-q", "-p", "no:cacheprovider", "test_it.py"], plugins=[Probe()]))
"""


@pytest.mark.parametrize("options", [["-p", "no:hypothesispytest"], []], ids=["alone", "beside hypothesis"])
def test_who_does_not_use_it_pays_nothing(tmp_path: Path, options: list[str]) -> None:
    """A run without our fixtures imports nothing that lowfare needs, and a router.py of its own is found."""
    (tmp_path / "router.py").write_text("mine = True\n")
    (tmp_path / "test_it.py").write_text("import router\n\ndef test_it():\n    assert router.mine\n")
    # Coverage would load modules of its own.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("COVERAGE", "PYTEST"))}
    command = [sys.executable, "-W", "error", "-c", PROBE, "-p", "no:asyncio", *options]
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert "1 passed" in run.stdout, run.stdout + run.stderr
    loaded = set(json.loads(run.stdout.partition("LOADED")[2]))
    assert "lowfare_plugins.pytest" in loaded
    slow = {"pydantic", "aiohttp", "orjson", "policies", "router.router", "router.testing"}
    assert not loaded & (slow | ({"hypothesis"} if options else set()))


def test_decisions_can_be_pasted(router: Router, decisions: Decisions) -> None:
    """The list is a plain one, so that what it holds can be shown."""
    router.complete("hi")
    assert decisions == [*decisions]
    assert as_code(decisions[0].model) == "'small'"
