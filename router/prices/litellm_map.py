"""The price map inside the installed litellm wheel, read as a file.

litellm itself is not imported: that takes 1.6 s, 160 MB and, unless told otherwise, a download. Its rules for names it
does not know ("generalizations") are not followed either; they price a misspelt model at zero.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import orjson

from router.errors import ConfigError
from router.prices.corrections import corrected
from router.prices.litellm_row import MapRow, provider_of, read_row

_PACKAGE: Final = "litellm"
_FILE: Final = "model_prices_and_context_window_backup.json"
_CHAT_MODES: Final = frozenset({"chat", "responses"})

_MAKERS: Final = frozenset(
    "ai21 anthropic cohere_chat dashscope deepseek gemini minimax mistral moonshot openai xai zai".split()
)
"""Providers that serve the models they made; who asks for a model by its name alone most likely means theirs."""


@dataclass(frozen=True, slots=True)
class PriceMap:
    """Price rows by litellm's ids.

    Attributes:
        rows: as the file has them.
        source: what to name as the source of a figure: "litellm 1.106.2".
        corrections: the source of each figure that is not the map's own, by row key and option name.
    """

    rows: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)
    source: str = "no price map"
    corrections: Mapping[tuple[str, str], str] = field(default_factory=dict, repr=False)

    def row(self, model_id: str) -> MapRow | None:
        """Returns the row of exactly this chat model, or None.

        The map writes some ids with their provider ("gemini/gemini-2.5-flash") and some without ("gpt-4.1"). An id
        may have the prefix in both cases, and must where the map has it.
        """
        key = self._key(model_id)
        return None if key is None or self.rows[key].get("mode") not in _CHAT_MODES else read_row(key, self.rows[key])

    def mode(self, model_id: str) -> str | None:
        """Returns what the model does ("chat", "embedding", "rerank", ...); None where the map does not have it."""
        key = self._key(model_id)
        return None if key is None else str(self.rows[key].get("mode"))

    def providers(self) -> frozenset[str]:
        """Returns the names that may stand before the slash of an id."""
        return frozenset(map(provider_of, self.rows.values()))

    def suggest(self, model_id: str, most: int = 5) -> tuple[str, ...]:
        """Returns ids of chat models that `model_id` may have been meant as, likeliest first."""
        chat = {_full_id(key, raw): key for key, raw in self.rows.items() if raw.get("mode") in _CHAT_MODES}
        ids: dict[str, list[str]] = {}
        by_name: dict[str, list[str]] = {}
        # Who made a model comes first, then where the map leaves the prefix away, then the shorter paths.
        for full in sorted(
            chat, key=lambda full: (full.partition("/")[0] not in _MAKERS, full == chat[full], full.count("/"), full)
        ):
            ids.setdefault(_folded(full), []).append(full)
            by_name.setdefault(_folded(full.rpartition("/")[2]), []).append(full)
        wanted = _folded(model_id)
        bare = wanted.rpartition("/")[2]
        similar = [full for near in difflib.get_close_matches(wanted, ids, n=most, cutoff=0.6) for full in ids[near]]
        nearest = difflib.get_close_matches(bare, by_name, n=1, cutoff=0.75)
        same_name = [full for name in nearest for full in by_name[name]]
        exact = [*ids.get(wanted, ()), *by_name.get(bare, ())]
        found = [*exact, *similar, *same_name] if "/" in model_id else [*exact, *same_name, *similar]
        return tuple(dict.fromkeys(found))[:most]

    def _key(self, model_id: str) -> str | None:
        if model_id in self.rows:
            return model_id
        provider, _, rest = model_id.partition("/")
        raw = self.rows.get(rest)
        return rest if raw is not None and provider in {provider_of(raw), raw.get("litellm_provider")} else None


def _folded(text: str) -> str:
    """Returns an id without what people mix up in it: capitals, and the sign between the parts of a version."""
    return text.lower().replace(".", "-").replace("_", "-")


def _full_id(key: str, raw: Mapping[str, Any]) -> str:
    provider = provider_of(raw)
    return key if key.startswith(f"{provider}/") else f"{provider}/{key}"


def load_price_map(path: Path | None = None) -> PriceMap:
    """Returns the price map of the installed litellm, or of another file in its format.

    It takes some 25 ms; the caller keeps the value.

    Raises:
        ConfigError: litellm or the file is not there, or the file is not a JSON object.
    """
    if path is None:
        path, source = installed_map(), f"{_PACKAGE} {version(_PACKAGE)}"
    else:
        source = path.name
    try:
        rows = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise ConfigError(f"the price map {path} cannot be read: {error}") from error
    if not isinstance(rows, dict) or not all(isinstance(row, dict) for row in rows.values()):
        raise ConfigError(f"the price map {path} is not an object of rows by model id")
    # The file's first entry explains the format; it is no model.
    rows.pop("sample_spec", None)
    mended, corrections = corrected(rows)
    return PriceMap(mended, source, corrections)


def installed_map(package: str = _PACKAGE) -> Path:
    """Returns where the map of an installed package is.

    Raises:
        ConfigError: the package is not installed.
    """
    spec = find_spec(package)  # of a top-level package: looks for it, does not import it
    folders = list(spec.submodule_search_locations or ()) if spec else []
    if not folders:
        raise ConfigError(f"{package} is not installed, and with it the price map: install lowfare again")
    return Path(folders[0]) / _FILE
