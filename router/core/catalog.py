"""Models a request may be routed to: what each can do, what it costs, where it stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Context, Decimal
from typing import Literal

from router.core.deployment import Deployment

Capability = Literal[
    "tools",
    "json_object",
    "json_schema",
    "vision",
    "audio_input",
    "audio_output",
    "file_input",
    "video_input",
    "reasoning",
    "web_search",
    "prompt_caching",
]

ServiceTier = Literal["flex", "priority", "batch"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """US dollars per million tokens, by token class.

    A class left at None is charged as the class it is part of: cached and written input, audio and image input as
    `input`; an hour's cache write as a short one; cached audio as cached input; reasoning, audio and image output as
    `output`. `input` and `output` at None mean that the price is unknown, which is never the same as free.
    """

    input: Decimal | None = None
    output: Decimal | None = None
    cached_input: Decimal | None = None
    cache_write: Decimal | None = None
    cache_write_1h: Decimal | None = None
    reasoning: Decimal | None = None
    input_audio: Decimal | None = None
    cached_input_audio: Decimal | None = None
    output_audio: Decimal | None = None
    input_image: Decimal | None = None
    output_image: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Charges:
    """US dollars per token for every class, with nothing left to fall back: `Rates` as arithmetic wants them.

    Attributes:
        any_input: the dearest class that input may fall into unasked: fresh or cached text.
        any_written: the same, where it may be written to the prompt cache for its short time.
        any_output: the dearest class that output may fall into unasked: text, reasoning or images.
    """

    input: Decimal
    output: Decimal
    cached_input: Decimal
    cache_write: Decimal
    cache_write_1h: Decimal
    reasoning: Decimal
    input_audio: Decimal
    cached_input_audio: Decimal
    output_audio: Decimal
    input_image: Decimal
    output_image: Decimal
    any_input: Decimal
    any_written: Decimal
    any_output: Decimal

    @classmethod
    def of(cls, rates: Rates) -> Charges | None:
        """Returns what `rates` come to per token, each missing class filled in; None where the price is unknown."""
        if rates.input is None or rates.output is None:
            return None
        text, answer = _per_token(rates.input), _per_token(rates.output)
        cached = _per_token(rates.cached_input, text)
        write = _per_token(rates.cache_write, text)
        reasoning, image = _per_token(rates.reasoning, answer), _per_token(rates.output_image, answer)
        return cls(
            input=text,
            output=answer,
            cached_input=cached,
            cache_write=write,
            cache_write_1h=_per_token(rates.cache_write_1h, write),
            reasoning=reasoning,
            input_audio=_per_token(rates.input_audio, text),
            cached_input_audio=_per_token(rates.cached_input_audio, cached),
            output_audio=_per_token(rates.output_audio, answer),
            input_image=_per_token(rates.input_image, text),
            output_image=image,
            any_input=max(text, cached),
            any_written=max(text, cached, write),
            any_output=max(answer, reasoning, image),
        )


def _per_token(usd_per_mtok: Decimal | None, otherwise: Decimal = Decimal(0)) -> Decimal:
    """Returns dollars per token, exactly: only the exponent changes, whatever precision the thread works with."""
    if usd_per_mtok is None:
        return otherwise
    return usd_per_mtok.scaleb(-6, Context(prec=max(1, len(usd_per_mtok.as_tuple().digits))))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """Rates that hold for requests whose input has more than `above_tokens` tokens.

    Attributes:
        charges: `rates` per token, derived once because a request is priced for every model of the catalog.
    """

    above_tokens: int = 0
    rates: Rates
    charges: Charges | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "charges", Charges.of(self.rates))


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """All price rows of one model.

    `tiers` ascend by `above_tokens` and start at 0. `service` has whole tier tables for service tiers whose price
    differs; a service tier without one is charged as the standard tier.
    """

    tiers: tuple[Tier, ...]
    service: Mapping[str, tuple[Tier, ...]] = field(default_factory=dict)
    request_usd: Decimal = Decimal(0)
    """A flat fee for every request."""
    request_most_usd: Decimal = Decimal(0)
    """What that fee can grow to by options of the request (Perplexity: the size of the search context)."""
    search_usd: Decimal = Decimal(0)
    """For one web search made by the provider."""
    searches_billed_once: bool = False
    """One fee for a request that searched, however often it did (Gemini 2)."""
    searches_unasked: bool = False
    """The provider searches as often as it sees fit, asked or not (Perplexity's deep research)."""
    writes_unasked: bool = False
    """The provider bills writes to its prompt cache also where the request does not ask for them (OpenAI from
    gpt-5.6 on)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long one attempt may take, in seconds; None leaves it to the request's deadline."""

    connect_s: float = 5.0
    first_token_s: float | None = None
    between_tokens_s: float | None = 30.0
    total_s: float | None = None

    def within(self, limit_s: float, /) -> Timeouts:
        """Returns these time-outs with the whole attempt cut to `limit_s`."""
        total_s = limit_s if self.total_s is None else min(self.total_s, limit_s)
        return Timeouts(
            connect_s=min(self.connect_s, total_s),
            first_token_s=self.first_token_s,
            between_tokens_s=self.between_tokens_s,
            total_s=total_s,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """One entry of the catalog.

    Attributes:
        name: what the user calls it; unique in the catalog.
        id: "provider/model" as litellm writes it, or the bare model id of an OpenAI-compatible server.
        provider: "openai", "anthropic", "deepseek", ...; the part of the id that chooses client and quirks.
        client: the client's kind, as registered under `lowfare.clients`.
        price: None where no price is known.
        quality: prior in [0, 1], the share of this application's requests that it answers well; None is unknown.
        key_env: environment variable that holds the API key; the key itself never stands in a `Model`.
        sources: where each figure comes from ("litellm 1.106.2", "config.toml"), by field name.
        deployments: several keys, regions or hosts that serve it; without any, the model is its own.
        concurrency: attempts at one time over all deployments; None takes the router's setting.
        queue: how many more may wait for one of these places; None takes the router's setting.
    """

    name: str
    id: str
    provider: str
    client: str
    price: Price | None = None
    context_window_tokens: int | None = None
    max_output_tokens: int | None = None
    capabilities: frozenset[str] = frozenset()
    quality: float | None = None
    region: str | None = None
    deprecated_on: str | None = None
    """ISO date after which the provider no longer serves it."""
    base_url: str | None = None
    key_env: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeouts: Timeouts = Timeouts()
    options: Mapping[str, object] = field(default_factory=dict, repr=False)
    """Whatever else the client wants to know, by the client's own names (`api_version`, `seed`, ...)."""
    sources: Mapping[str, str] = field(default_factory=dict, repr=False)
    deployments: tuple[Deployment, ...] = ()
    concurrency: int | None = None
    queue: int | None = None

    def at(self, deployment: Deployment, /) -> Model:
        """Returns the model as one of its deployments serves it, ready to be asked there."""
        return replace(
            self,
            base_url=self.base_url if deployment.base_url is None else deployment.base_url,
            key_env=self.key_env if deployment.key_env is None else deployment.key_env,
            region=self.region if deployment.region is None else deployment.region,
            headers={**self.headers, **deployment.headers},
            deployments=(),
        )

    @property
    def provider_model(self) -> str:
        """The id without its provider, as it goes over the wire."""
        return self.id.removeprefix(f"{self.provider}/")


Catalog = Mapping[str, Model]
"""Models by name."""
