"""Settings -> the cache: its backend found by entry point, and made with the options of `[cache]`.

The backend "memory" is what stands in front of every other one, alone.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from router.cache.cache import Cache
from router.cache.codec import Codec
from router.cache.near import Near
from router.cache.seal import seal_from_env
from router.cache.store import Store
from router.config import Settings
from router.config_errors import Fault
from router.core.naming import allowed
from router.errors import ConfigError
from router.registry import Registry, installed
from router.setup_options import wrong_options

GROUP: Final = "lowfare.caches"
MEMORY: Final = "memory"

_METHODS: Final = ("get", "put", "delete", "scan", "join", "renew", "watch", "leave", "aclose")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedCache:
    """The cache that the configuration asks for, checked and not yet made.

    Attributes:
        backend: the kind of its store.
        make: the store's class; None for memory alone.
        options: what that class is called with, by keyword.
        key_env: name of the variable that holds the key which values are sealed with; None leaves them open.
        memory_bytes, memory_ttl_s, max_entry_bytes, lease_s, store_wait_s: as in `CacheTable`.
    """

    backend: str = MEMORY
    make: Callable[..., Store] | None = None
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    key_env: str | None = None
    memory_bytes: int = 1
    memory_ttl_s: float = 5.0
    max_entry_bytes: int = 1_000_000
    lease_s: float = 5.0
    store_wait_s: float = 0.05


def planned_cache(settings: Settings, *, registry: Registry | None = None) -> tuple[PlannedCache | None, list[Fault]]:
    """Returns the cache that the settings ask for, None where they ask for none; and what is wrong with its table.

    Args:
        settings: as `router.config` made them.
        registry: the kinds of stores there are; None takes what is installed.
    """
    table = settings.cache
    if table is None:
        return None, []
    options = table.options
    make: Callable[..., Store] | None = None
    faults: list[Fault] = []
    if table.backend == MEMORY:
        faults = [Fault(("cache", name), f"is no option of the backend {MEMORY!r}; it needs none") for name in options]
    else:
        kinds = installed(GROUP) if registry is None else registry
        if table.backend not in kinds.kinds:
            hint = allowed(table.backend, (MEMORY, *kinds.kinds))
            return None, [Fault(("cache", "backend"), f"found {table.backend!r}, which is not installed; {hint}")]
        try:
            make = kinds.load(table.backend)
        except ConfigError as error:
            return None, [Fault(("cache", "backend"), str(error))]
        if not (isinstance(make, type) and all(callable(getattr(make, name, None)) for name in _METHODS)):
            told = f"the kind {table.backend!r} of {GROUP} leads to {make!r}, which is no store: a class with "
            return None, [Fault(("cache", "backend"), told + ", ".join(_METHODS))]
        wrong = wrong_options(make, f"backend {table.backend!r}", options)
        faults = [Fault(("cache", *path), message) for path, message in wrong]
    planned = PlannedCache(
        backend=table.backend,
        make=make,
        options=options,
        key_env=table.key_env,
        memory_bytes=table.memory_bytes,
        memory_ttl_s=table.memory_ttl_s,
        max_entry_bytes=table.max_entry_bytes,
        lease_s=table.lease_s,
        store_wait_s=table.store_wait_s,
    )
    return planned, faults


def made_cache(
    planned: PlannedCache | None,
    now: Callable[[], float],
    *,
    store: Store | None = None,
    environ: Mapping[str, str] | None = None,
) -> Cache:
    """Returns a new cache; one that keeps nothing where none is planned.

    Args:
        planned: as `planned_cache` returns it.
        now: tells the time, in Unix seconds.
        store: instead of the one that is planned; None makes that.
        environ: where the key is; None is the environment of the process.

    Raises:
        ConfigError: a variable is not set or its value is not usable, or the store refuses its options.
    """
    if planned is None:
        if store is not None:
            raise ConfigError("a store is of no use without the table [cache], which says on what terms it is used")
        return Cache(near=Near(max_bytes=1), now=now)
    variables = os.environ if environ is None else environ
    seal = seal_from_env(planned.key_env, variables) if planned.key_env is not None else None
    return Cache(
        near=Near(max_bytes=planned.memory_bytes),
        now=now,
        store=_store(planned) if store is None else store,
        backend=planned.backend if store is None else type(store).__name__,
        codec=Codec(seal),
        memory_ttl_s=planned.memory_ttl_s,
        max_entry_bytes=planned.max_entry_bytes,
        lease_s=planned.lease_s,
        store_wait_s=planned.store_wait_s,
    )


def _store(planned: PlannedCache) -> Store | None:
    if planned.make is None:
        return None
    try:
        return planned.make(**planned.options)
    except ConfigError:
        raise
    except Exception as error:  # noqa: BLE001 - its text may hold the address, and that a password
        raise ConfigError(f"cache: the backend {planned.backend!r} cannot be made ({type(error).__name__})") from None
