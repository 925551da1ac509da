"""The estimate's recommendation as TOML that can be pasted into the configuration, and loads there.

Only the tiers that have a chosen target change. All else stays with the policy that there is: to list today's models of
a tier under one that prefers the cheapest would move requests that the estimate says nothing about.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import count
from typing import Final

from router.analytics.savings import TierEstimate
from router.core.catalog import Model

_NOTE: Final = (
    '# For requests that say policy = "{name}". For all others too: call your policy "default" something else,\n'
    '# let otherwise name it, and call this one "default".\n'
)


def recommended_toml(
    tiers: Sequence[TierEstimate],
    catalog: Mapping[str, Model],
    targets: Mapping[str, Model],
    others: Mapping[tuple[str, str | None], Model],
    *,
    policies: Collection[str],
) -> str:
    """Returns a policy that asks each tier's chosen target first, and behind it the models that answer that tier now.

    It is empty where no tier has a chosen target.

    Args:
        tiers: the estimate, by limit.
        catalog: the models of the configuration; those that it lacks get a table of their own.
        targets: the estimate's, by name.
        others: models that the log names and the configuration does not, by the log's name and id, as far as known.
        policies: names of those of the configuration; the one named "default" keeps all other requests.
    """
    rules: list[str] = []
    named: list[str] = []
    below: int | None = None
    for tier in tiers:
        if tier.chosen is not None:
            names = list(dict.fromkeys([tier.chosen.target, *_current(tier.models, catalog, others)]))
            above = "" if below is None else f"above_tokens = {below}, "
            use = f'{{ kind = "fallback", models = [{", ".join(map(_text, names))}] }}'
            rules.append(f"  {{ when = {{ {above}up_to_tokens = {tier.up_to_tokens} }}, use = {use} }},\n")
            named += names
        below = tier.up_to_tokens
    if not rules:
        return ""
    ids = {name: model.id for (name, _), model in others.items()} | {name: m.id for name, m in targets.items()}
    new = [name for name in dict.fromkeys(named) if name not in catalog]
    tables = "".join(f"[models.{_text(name)}]\nid = {_text(ids[name])}\n\n" for name in new)
    otherwise = '"default"' if "default" in policies else '{ kind = "cheapest" }'
    name = _free(policies)
    policy = f'[policies.{name}]\nkind = "rules"\nrules = [\n{"".join(rules)}]\notherwise = {otherwise}\n'
    return f"{tables}{_NOTE.format(name=name)}{policy}"


def _free(policies: Collection[str]) -> str:
    """Returns a name that no policy has: "savings" unless this was pasted before."""
    return next(name for n in count(1) if (name := "savings" if n == 1 else f"savings_{n}") not in policies)


def _current(
    models: Iterable[tuple[str, str | None]],
    catalog: Mapping[str, Model],
    others: Mapping[tuple[str, str | None], Model],
) -> list[str]:
    """Returns what the configuration calls models of the log, or will; those left out that nobody knows."""
    by_id = {model.id: name for name, model in catalog.items()}
    names = []
    for name, model_id in models:
        if name in catalog:
            names.append(name)
        elif model_id in by_id:
            names.append(by_id[model_id])
        elif (name, model_id) in others:
            names.append(name)
    return names


def _text(text: str) -> str:
    """Returns a basic string of TOML, which is one of JSON but for DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
