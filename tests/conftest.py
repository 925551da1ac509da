"""Rules for every test: no network beyond loopback, no skipped test in CI, one set of hypothesis profiles."""

from __future__ import annotations

import gc
import os
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import coverage
import pytest
from hypothesis import HealthCheck, Phase, settings

from router.testing.guard import loopback_only

IN_CI = os.environ.get("CI", "").lower() not in {"", "0", "false"}

# Neither profile knows time: a busy machine must not turn a test red.
settings.register_profile("dev", deadline=None, suppress_health_check=[HealthCheck.too_slow])
# In CI the examples follow from the test's source alone, so that a red run can be repeated.
settings.register_profile("ci", settings.get_profile("dev"), derandomize=True, max_examples=100, print_blob=True)
# For benchmarks/mutants.py, which runs the tests thousands of times: that one example fails is all it wants to know.
settings.register_profile(
    "mutants",
    settings.get_profile("dev"),
    derandomize=True,
    max_examples=int(os.environ.get("MUTANTS_EXAMPLES", "15")),
    phases=[Phase.explicit, Phase.generate],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if IN_CI else "dev"))

_PROCESS = ExitStack()
_PROCESS.enter_context(loopback_only())  # also where no test runs, for as long as the process lives


@pytest.fixture(autouse=True)
def _loopback_only() -> Iterator[None]:
    """Fails a test that tried to leave this machine, even where the code under test swallowed the refusal."""
    with loopback_only() as refused:
        yield
    assert not refused, f"a test may talk to loopback only, this one tried {', '.join(refused)}"


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Looks for doctests in the product only: what stands beside the tests is imported by those that need it."""
    beside = collection_path.suffix == ".py" and not collection_path.name.startswith(("test_", "__init__"))
    return True if beside else None


def pytest_collection_finish() -> None:
    """Takes what thousands of collected tests consist of out of every later collection of garbage."""
    gc.collect()
    gc.freeze()


@contextmanager
def _untraced() -> Iterator[None]:
    """Measures no coverage, neither here nor in processes that are started meanwhile."""
    measuring = coverage.Coverage.current()
    if measuring is None:
        yield
        return
    variable = os.environ.pop("COVERAGE_PROCESS_START", None)
    measuring.stop()
    try:
        yield
    finally:
        leave = os._exit
        measuring.start()
        os._exit = leave  # `start` puts one more layer on it each time
        if variable is not None:
            os.environ["COVERAGE_PROCESS_START"] = variable


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Runs a test that is marked `untraced` at full speed: what it repeats is covered by others."""
    if item.get_closest_marker("untraced") is None:
        return (yield)
    with _untraced():
        return (yield)


def _fail_if_skipped(report: pytest.TestReport | pytest.CollectReport) -> None:
    """In CI nothing may be missing, so a skip is a failure; an expected failure (xfail) is none."""
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"no test may be skipped in CI: {reason}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turns a skipped test into a failed one."""
    report = yield
    _fail_if_skipped(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Turns a skipped file into a failed one."""
    report = yield
    _fail_if_skipped(report)
    return report
