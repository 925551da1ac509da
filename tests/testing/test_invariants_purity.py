"""What makes a policy a pure function: each way of looking elsewhere, of remembering and of changing is found."""

from __future__ import annotations

import datetime as dt
import functools
import gc
import logging
import os
import random
import secrets
import socket
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings

from policies.chain import Chain
from policies.cheapest import Cheapest
from policies.min_quality import MinQuality
from policies.token_tiers import Tier, TokenTiers
from router import Context, Features, ModelStats, Policy, Slate, TokenCount
from router.testing import invariants
from router.testing.invariants_guard import Read, reads_during, reads_in_code
from router.testing.invariants_purity import copied
from router.testing.invariants_shown import outcome_of
from router.testing.strategies import situations
from tests.policies.strategies import context, live, model, slate
from tests.testing.test_invariants import broken, keep

ABC = slate(model("a"), model("b"), model("c", usd_per_mtok=None))
HERE = context()


def mutating(change: Callable[[Slate, Context], object]) -> Policy:
    """Returns a policy that changes what it was given, and returns that."""

    def policy(slate: Slate, context: Context, /) -> Slate:
        change(slate, context)
        return slate

    return policy


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda s, c: c.tags.update(new="x"), "changed a dict"),
        (lambda s, c: c.stats.pop("a", None), "changed a dict"),
        (lambda s, c: s.live[0].model.headers.update(x="y"), "changed a dict"),
        (lambda s, c: c.features.exact_tokens.update(x=1), "changed a dict"),
        (lambda s, c: object.__setattr__(c, "draw", 0.25), "changed a Context"),
        (lambda s, c: object.__setattr__(s, "live", ()), "changed a Slate"),
        (lambda s, c: object.__setattr__(s.live[0].model, "quality", 1.0), "changed a Model"),
        (lambda s, c: s.live[0].__dict__.update(worst_usd=Decimal(0)), "changed worst_usd of 'a'"),
    ],
)
def test_changes_of_the_input_are_found(change: Callable[[Any, Any], object], says: str) -> None:
    """Wherever they are, by force or not; the input given to the invariant itself stays as it was."""
    given = replace(HERE, tags={"team": "x"}, stats={"a": ModelStats()})
    policy = mutating(change)
    assert says in broken("leaves_its_input_alone", policy, context=given)
    assert given == replace(HERE, tags={"team": "x"}, stats={"a": ModelStats()})


def test_looking_at_costs_changes_nothing() -> None:
    """Candidates keep what they computed; that is no change."""
    invariants.leaves_its_input_alone(Cheapest(), *copied(ABC, HERE))


def impure(read: Callable[[], object]) -> Policy:
    """Returns a policy that reads something, by a function of its own."""

    def policy(slate: Slate, context: Context, /) -> Slate:
        read()
        return slate

    return policy


@pytest.mark.parametrize(
    ("read", "what"),
    [
        (time.time, "the clock (time.time, "),
        (time.monotonic_ns, "the clock (time.monotonic_ns, "),
        (lambda: dt.datetime.now(dt.UTC), "the clock (datetime.now, "),
        (dt.date.today, "the clock (date.today, "),
        (random.random, "chance (Random.random, "),
        (lambda: random.choice("ab"), "chance (Random.getrandbits, "),
        (lambda: random.SystemRandom().random(), "chance (posix.urandom, "),
        (secrets.token_hex, "chance (posix.urandom, "),
        (uuid.uuid4, "chance (posix.urandom, "),
        (lambda: os.environ.get("HOME"), "the environment (os.environ, "),
        (lambda: os.getenv("HOME"), "the environment (os.environ, "),
        (lambda: dict(os.environ), "the environment (os.environ, "),
        (lambda: open(os.devnull).close(), "a file ("),  # noqa: PTH123 - the fault
        (lambda: os.listdir("."), "a file (posix.listdir, "),  # noqa: PTH208 - the fault
        (lambda: socket.socket().close(), "the network (socket.__init__, "),
        (lambda: subprocess.list2cmdline([]), "the network (list2cmdline, "),
        (lambda: logging.getLogger("x").error("read"), "the clock (time.time, "),
    ],
)
def test_what_a_policy_reads_is_named(read: Callable[[], object], what: str) -> None:
    """What it is, by which call, and in which line of the policy, also where the standard library makes the call."""
    says = broken("reads_nothing_else", impure(read))
    assert says.startswith(f"it reads {what}")
    assert f"{__file__}:" in says


@pytest.mark.parametrize(
    "read",
    [
        lambda: random.Random(7).random(),
        lambda: dt.datetime(2026, 1, 1, tzinfo=dt.UTC).astimezone(dt.UTC),
        lambda: time.struct_time,
        lambda: sorted([3, 1], key=lambda n: -n),
        lambda: Decimal(1).sqrt(),
        lambda: Counter("abc").most_common(),
        lambda: {id(object()): 1},
        lambda: __import__("colorsys").rgb_to_hls(0, 0, 0),
    ],
)
def test_what_follows_from_arguments_alone_is_pure(read: Callable[[], object]) -> None:
    """A generator with a seed of its own, arithmetic, identity as a key, an import on the way."""
    invariants.reads_nothing_else(impure(read), ABC, HERE)


def test_the_guard_leaves_no_trace() -> None:
    """Profiler, collector and the state of chance are as before, also after an exception."""
    calls: list[str] = []

    def profile(frame: object, event: str, argument: object) -> None:
        calls.append(event)

    def fails(slate: Slate, context: Context, /) -> Slate:
        raise KeyError("x")

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        assert reads_during(keep, ABC, HERE) is None
        with pytest.raises(KeyError):
            reads_during(fails, ABC, HERE)
        after = sys.getprofile()
    finally:
        sys.setprofile(before)
    assert after is profile
    assert gc.isenabled()
    gc.disable()
    try:
        reads_during(keep, ABC, HERE)
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_chance_in_code_that_is_no_python_is_found() -> None:
    """By the state of the generator, where no call of it is seen."""

    class Drawing:
        """Draws from a place that is not watched."""

        def __call__(self, slate: Slate, context: Context, /) -> Slate:
            watch = sys.getprofile()
            sys.setprofile(None)
            random.random()
            sys.setprofile(watch)
            return slate

    assert reads_during(Drawing(), ABC, HERE) == Read("chance", "random", "in code that is no Python")


class Rarely:
    """A policy whose rare cases read what no policy may."""

    def __init__(self) -> None:
        self.started = time.time()

    @property
    def _late(self) -> bool:
        return time.monotonic() > 0

    @staticmethod
    def _other() -> float:
        return 1.0

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        return slate if context.tenant != "nobody" or (self._late and self._other()) else Slate(())


class Made:
    """A policy that reads the clock only when it is made."""

    def __init__(self) -> None:
        self.started = time.time()

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        return slate


def reads_rarely(slate: Slate, context: Context, /) -> Slate:
    """Reads the environment in a case that nobody draws."""
    return slate if context.tenant != "nobody" or "X" in os.environ else Slate(())


def test_what_is_read_in_rare_cases_is_found_in_the_code() -> None:
    """In a function, and in whatever method a policy's `__call__` names; what its making reads is its own business."""
    assert str(reads_in_code(Rarely())).startswith("the clock (time.monotonic, ")
    assert "its code may read the environment (os.environ, " in broken("reads_nothing_else", reads_rarely)
    assert reads_in_code(Chain(policies=(keep, reads_rarely))) is not None
    assert reads_in_code(Made()) is None
    assert reads_in_code(functools.partial(reads_rarely)) is not None
    assert reads_in_code(len) is None  # type: ignore[arg-type]  # something written in C
    for kind in (Cheapest(), MinQuality(quality=0.5), TokenTiers(tiers=(Tier(models=("a",)),))):
        assert reads_in_code(kind) is None


class Keeping:
    """A policy with one place to remember something in."""

    shared: ClassVar[int] = 0

    def __init__(self, keep: Callable[[Any, Slate], object]) -> None:
        self.keep = keep
        self.count = 0
        self.seen: list[str] = []
        self.memo: dict[str, int] = {}

    def __call__(self, slate: Slate, context: Context, /) -> Slate:
        self.keep(self, slate)
        return slate


def _count_by_class(policy: Any, _: Slate) -> None:
    type(policy).shared += 1


@pytest.mark.parametrize(
    ("keep", "where"),
    [
        (lambda self, _: setattr(self, "count", self.count + 1), "Keeping.count: 1, then 2"),
        (lambda self, s: self.seen.extend(live(s)), "Keeping.seen: ['a', 'b', 'c'], then ['a', 'b', 'c', 'a', "),
        (_count_by_class, "Keeping.shared: "),
    ],
)
def test_what_a_call_leaves_behind_is_named(keep: Callable[[Any, Slate], object], where: str) -> None:
    """In an instance and in its class, counters and lists."""
    assert f"a call changed {where}" in broken("keeps_no_state", Keeping(keep))


def test_what_functions_remember_is_found() -> None:
    """In the function around them, in their attributes and in their defaults."""
    times = 0

    def closure(slate: Slate, context: Context, /) -> Slate:
        nonlocal times
        times += 1
        return slate

    def attribute(slate: Slate, context: Context, /) -> Slate:
        attribute.__dict__["times"] = attribute.__dict__.get("times", 0) + 1
        return slate

    def default(slate: Slate, context: Context, /, seen: list[int] = []) -> Slate:  # noqa: B006 - the fault
        seen.append(1)
        return slate

    assert ".closure.times: 1, then 2" in broken("keeps_no_state", closure)
    assert "function.times: 1, then 2" in broken("keeps_no_state", attribute)
    assert ".default.default 0: [1], then [1, 1]" in broken("keeps_no_state", default)


def test_a_memory_of_results_is_no_state() -> None:
    """What only saves work, and changes no answer, may be kept."""
    policy = Keeping(lambda self, s: self.memo.update({candidate.name: 1 for candidate in s.live}))
    invariants.keeps_no_state(policy, ABC, HERE)

    @functools.cache
    def rank(name: str) -> int:
        return -ord(name[0])

    invariants.keeps_no_state(lambda s, _: s.rank(lambda c: rank(c.name)), ABC, HERE)


def test_a_name_that_is_not_assigned_yet_is_no_state() -> None:
    """A function may be defined before what it uses."""

    def early(slate: Slate, context: Context, /) -> Slate:
        return slate if context.tenant != "nobody" else later

    invariants.keeps_no_state(early, ABC, HERE)
    later = Slate(())


def test_answers_that_depend_on_other_calls_are_state() -> None:
    """A call with another slate in between changes nothing, or the policy remembers it."""
    asked: dict[str, int] = {}

    def policy(slate: Slate, context: Context, /) -> Slate:
        asked["live"] = max(asked.get("live", 0), len(context.tags) + 4 - len(slate.live))
        return Slate(tuple(reversed(slate.live)), slate.dropped) if asked["live"] > 2 else slate

    assert "after a call with another slate it answered differently" in broken("keeps_no_state", policy)


def test_the_same_call_gives_the_same_answer() -> None:
    """Twice in a row, as a copy, and with mappings in another order."""
    turn: list[int] = []

    def turns(slate: Slate, context: Context, /) -> Slate:
        turn.append(1)
        return Slate(slate.live[len(turn) % 2 :] + slate.live[: len(turn) % 2], slate.dropped)

    assert "the same call gave two answers: 'b', 'c', 'a' live, then 'a', 'b', 'c'" in broken("is_deterministic", turns)
    tagged = replace(HERE, tags={"x": "b", "y": "a"})
    first: Policy = lambda s, c: s.rank(lambda o: o.name != next(iter(c.tags.values())))  # noqa: E731 - brief
    assert "mappings in another order" in broken("is_deterministic", first, context=tagged)


@given(situations())
@settings(max_examples=50)
def test_copies_are_equal_and_share_nothing_that_could_be_told(situation: tuple[Slate, Context]) -> None:
    """They say the same, and no candidate, model or mapping is the same object."""
    slate, context = situation
    for backwards in (True, False):
        other, around = copied(slate, context, backwards=backwards)
        assert outcome_of(other) == outcome_of(slate)
        assert around == context
        assert [c.model for c in other.live] == [c.model for c in slate.live]
        assert not {id(c) for c in other.live} & {id(c) for c in slate.live}
        assert not {id(c.model) for c in other.live} & {id(c.model) for c in slate.live}
        assert list(around.tags) == list(context.tags)[:: -1 if backwards else 1]
        assert all(c.features is around.features for c in other.live)


def test_copies_keep_features_of_their_own() -> None:
    """A candidate whose features are not the context's keeps other ones."""
    of = Features(input_tokens=TokenCount(low=9, likely=9, high=9))
    (candidate,) = copied(slate(model("a"), of=of), HERE)[0].live
    assert candidate.features == of != HERE.features
