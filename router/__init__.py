"""lowfare: middleware that sends each request to the cheapest adequate model, and leaves a record that explains it."""

from typing import TYPE_CHECKING, Any

from router.cache.cache import CacheStats, Purged, Selector
from router.cache.store import Joined, Row, Store, Watched
from router.clients.client import Call, Client
from router.clock import Clock, SystemClock
from router.core import statics
from router.core.alert import Alert, Event
from router.core.answer import Answer, Choice, Chunk, ChunkChoice, Function, Message, ToolCall, Usage
from router.core.bounds import Bounds
from router.core.budget import Account, Budget, Claim, Entry, Refused, Reserved, Scope, Standing
from router.core.budgeting import Purse
from router.core.caching import CacheHint, Caching, Hit, Lookup
from router.core.catalog import Capability, Catalog, Model, Price, Rates, Tier, Timeouts
from router.core.decision import Attempt, Decision
from router.core.failure import Failure, FailureClass
from router.core.label import Label
from router.core.money import Usd
from router.core.policy import Context, Policy
from router.core.replay import Unobserved, replay
from router.core.request import Features, Hints, Request, TokenCount
from router.core.slate import Candidate, Dropped, Slate
from router.core.stats import ModelStats, Stats
from router.core.usable import Check, NamedCheck, check
from router.core.window import Window
from router.default import acomplete, arecord_usage, astream, complete, default_router, feedback, record_usage, stream
from router.errors import (
    BoundsExceeded,
    BudgetExceeded,
    ConfigError,
    NoCandidate,
    NotCached,
    PolicyError,
    ProviderError,
    RequestError,
    RouterError,
    RouterWarning,
    StoreError,
    WebhookError,
)
from router.reply import AsyncStream, Reply, Stream
from router.router import Router
from router.sinks.sink import Sink
from router.sinks.tracing import TraceStats
from router.state.ledger import Ledger

if TYPE_CHECKING:
    from router.config import Settings

__all__ = [
    "Account",
    "Alert",
    "Answer",
    "AsyncStream",
    "Attempt",
    "Bounds",
    "BoundsExceeded",
    "Budget",
    "BudgetExceeded",
    "CacheHint",
    "CacheStats",
    "Caching",
    "Call",
    "Candidate",
    "Capability",
    "Catalog",
    "Check",
    "Choice",
    "Chunk",
    "ChunkChoice",
    "Claim",
    "Client",
    "Clock",
    "ConfigError",
    "Context",
    "Decision",
    "Dropped",
    "Entry",
    "Event",
    "Failure",
    "FailureClass",
    "Features",
    "Function",
    "Hints",
    "Hit",
    "Joined",
    "Label",
    "Ledger",
    "Lookup",
    "Message",
    "Model",
    "ModelStats",
    "NamedCheck",
    "NoCandidate",
    "NotCached",
    "Policy",
    "PolicyError",
    "Price",
    "ProviderError",
    "Purged",
    "Purse",
    "Rates",
    "Refused",
    "Reply",
    "Request",
    "RequestError",
    "Reserved",
    "Router",
    "RouterError",
    "RouterWarning",
    "Row",
    "Scope",
    "Selector",
    "Settings",
    "Sink",
    "Slate",
    "Standing",
    "Stats",
    "Store",
    "StoreError",
    "Stream",
    "SystemClock",
    "Tier",
    "Timeouts",
    "TokenCount",
    "ToolCall",
    "TraceStats",
    "Unobserved",
    "Usage",
    "Usd",
    "Watched",
    "WebhookError",
    "Window",
    "acomplete",
    "arecord_usage",
    "astream",
    "check",
    "complete",
    "default_router",
    "feedback",
    "record_usage",
    "replay",
    "statics",
    "stream",
]


def __getattr__(name: str) -> Any:
    """Imports `Settings` when it is first asked for: it brings pydantic, which most programs need a moment later."""
    if name == "Settings":
        from router.config import Settings

        return Settings
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
