"""Who asks what, and when: the requests of a scenario, drawn from its seed or read from a trace."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from annotated_types import Ge, Gt, Le, MinLen
from pydantic import Field, model_validator

from router.config_errors import said
from router.config_values import Table
from router.errors import ConfigError
from router.testing.troubles import DAY_S, Share, Spread


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One request.

    Attributes:
        at_s: when it comes, in seconds since the world began.
        input_tokens: what its prompt truly is.
        output_tokens: what any model would write if nothing limited it.
        patience_s: when its caller gives up; None waits as long as it takes.
        pieces: after how many pieces of its stream the caller leaves; None reads all.
    """

    index: int
    trace_id: str
    at_s: float
    input_tokens: int
    output_tokens: int
    stream: bool = False
    patience_s: float | None = None
    pieces: int | None = None


class Traffic(Table):
    """`[traffic]`: the requests.

    Attributes:
        kind: "poisson" and "constant" have a rate; "bursts" send `burst` requests at once, `rate_per_s` on average;
            "trace" takes times and lengths from a parquet file with `t_s`, `input_tokens`, `output_tokens`.
        speed: a trace is replayed so many times as fast.
        requests: the most there are; None takes all of the duration or the trace.
        stream_share: of the requests that are streamed.
        cancel_share: of the requests whose caller gives up after some time drawn from `patience_s`.
        drop_share: of the streamed requests whose caller leaves after a few pieces.
        options: parameters and hints of every request, as `Router.acomplete` takes them.
    """

    kind: Literal["poisson", "constant", "bursts", "trace"] = "poisson"
    rate_per_s: Annotated[float, Gt(0), Le(100_000)] = 5.0
    duration_s: Annotated[float, Gt(0), Le(7 * DAY_S)] = 600.0
    burst: Annotated[int, Ge(1), Le(1_000_000)] = 50
    path: Annotated[str, MinLen(1)] | None = None
    speed: Annotated[float, Gt(0), Le(10_000)] = 1.0
    requests: Annotated[int, Ge(1)] | None = None
    input_tokens: Spread = Spread(median=800, spread=0.8, most=16_000)
    output_tokens: Spread = Spread(median=150, spread=0.7, most=2_000)
    stream_share: Share = 0.0
    cancel_share: Share = 0.0
    patience_s: Spread = Spread(median=1.0, spread=1.0)
    drop_share: Share = 0.0
    options: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _has_path(self) -> Self:
        if (self.kind == "trace") != (self.path is not None):
            raise said('found a trace without path, or path without a trace; allowed: kind = "trace" with its path')
        return self

    def arrivals(self, seed: int, /) -> list[Arrival]:
        """Returns the requests of a seed, in the order of their times.

        Raises:
            ConfigError: the trace cannot be read.
        """
        chance = random.Random(f"traffic {seed}")  # noqa: S311 - a seeded draw, no secret
        rows = self._rows(chance)
        out = []
        for index, (at_s, input_tokens, output_tokens) in enumerate(rows):
            if index == self.requests:
                break
            out.append(self._arrival(index, at_s, (input_tokens, output_tokens), chance))
        return out

    def _arrival(self, index: int, at_s: float, tokens: tuple[int, int], chance: random.Random) -> Arrival:
        stream = chance.random() < self.stream_share
        gives_up, leaves = chance.random() < self.cancel_share, chance.random() < self.drop_share
        return Arrival(
            index=index,
            trace_id=f"{chance.getrandbits(128) | 1:032x}",
            at_s=at_s,
            input_tokens=max(16, tokens[0]),
            output_tokens=max(1, tokens[1]),
            stream=stream,
            patience_s=self.patience_s.draw(chance) if gives_up else None,
            pieces=chance.randint(1, 4) if stream and leaves else None,
        )

    def _rows(self, chance: random.Random) -> Iterator[tuple[float, int, int]]:
        if self.kind == "trace":
            yield from ((t / self.speed, i, o) for t, i, o in _trace(Path(self.path or "")))
            return
        for at_s in self._times(chance):
            yield at_s, round(self.input_tokens.draw(chance)), round(self.output_tokens.draw(chance))

    def _times(self, chance: random.Random) -> Iterator[float]:
        at_s, each_s = 0.0, 1 / self.rate_per_s
        while at_s < self.duration_s:
            match self.kind:
                case "bursts":
                    yield from (at_s for _ in range(self.burst))
                    at_s += self.burst * each_s
                case "constant":
                    yield at_s
                    at_s += each_s
                case _:
                    yield at_s
                    at_s += chance.expovariate(self.rate_per_s)


_COLUMNS = ["t_s", "input_tokens", "output_tokens"]


def _trace(path: Path) -> Iterable[tuple[float, int, int]]:
    try:
        from pyarrow import ArrowException, parquet  # type: ignore[import-untyped]  # it ships no types
    except ImportError as error:
        raise ConfigError(
            "traffic.path: reading parquet needs pyarrow; install it with: pip install pyarrow"
        ) from error
    try:
        table = parquet.read_table(path, columns=_COLUMNS)
        columns = [table.column(name).to_pylist() for name in _COLUMNS]
    except (OSError, ArrowException, KeyError) as error:
        raise ConfigError(f"traffic.path: {path} is no parquet file with {', '.join(_COLUMNS)}: {error}") from error
    return sorted(zip(*columns, strict=True))
