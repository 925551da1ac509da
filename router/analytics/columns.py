"""A decision's record as columns: what reports read, named and typed once, for JSONL and Parquet alike.

The columns of the view `decisions`, one row for each request; `record` beside them is the whole line, so that nothing
is lost: what a column does not have, `explain` and the backtest find there.
"""

from __future__ import annotations

import json
from hashlib import blake2b
from typing import Any, Final

USD: Final = "DECIMAL(38, 18)"
"""Exact for every price in use: a rate has at most 12 decimals, and tokens are whole."""

_USAGE: Final[dict[str, Any]] = {
    "input_tokens": "BIGINT",
    "output_tokens": "BIGINT",
    "cached_input_tokens": "BIGINT",
    "cache_write_tokens": "BIGINT",
    "reasoning_tokens": "BIGINT",
}
_ATTEMPT: Final[dict[str, Any]] = {
    "model": "VARCHAR",
    "model_id": "VARCHAR",
    "provider": "VARCHAR",
    "window_tokens": "BIGINT",
    "started_s": "DOUBLE",
    "latency_s": "DOUBLE",
    "first_token_s": "DOUBLE",
    "outcome": "VARCHAR",
    "status": "INTEGER",
    "code": "VARCHAR",
    "error": "VARCHAR",
    "committed": "BOOLEAN",
    "held": "VARCHAR",
    "hedge": "BOOLEAN",
    "finish_reason": "VARCHAR",
    "usage": _USAGE,
    "cost_usd": USD,
    "billing": "VARCHAR",
    "worst_usd": USD,
}
_SHAPE: Final[dict[str, Any]] = {
    "schema": "INTEGER",
    "trace_id": "VARCHAR",
    "request_id": "VARCHAR",
    "time": "TIMESTAMPTZ",
    "tenant": "VARCHAR",
    "tags": "MAP(VARCHAR, VARCHAR)",
    "policy": "VARCHAR",
    "key": "VARCHAR",
    "model": "VARCHAR",
    "ending": "VARCHAR",
    "cache": "VARCHAR",
    "cost_usd": USD,
    "worst_case_usd": USD,
    "waste_usd": USD,
    "baseline": "VARCHAR",
    "baseline_usd": USD,
    "saved_usd": USD,
    "latency_s": "DOUBLE",
    "lookup": {"hit": "JSON"},
    "features": {
        "input_tokens": {"likely": "BIGINT", "high": "BIGINT"},
        "exact_tokens": "MAP(VARCHAR, BIGINT)",
        "output_tokens_most": "BIGINT",
        "choices": "INTEGER",
        "needs": ["VARCHAR"],
        "service_tier": "VARCHAR",
        "stream": "BOOLEAN",
        "prefix": [["VARCHAR"]],
    },
    "hints": {"model": "VARCHAR", "min_quality": "DOUBLE"},
    "expected_output_tokens": "BIGINT",
    "attempts": [_ATTEMPT],
    "source": "VARCHAR",
    "repeated_tokens": "JSON",
}
"""Where in a record each column comes from, as DuckDB's `json_transform` takes it. What few records have stays JSON."""
_HIT: Final = json.dumps({"model_id": "VARCHAR", "usage": _USAGE})
_REPEATED: Final = json.dumps({"previous": "BIGINT", "any": "BIGINT"})

SHAPE: Final = json.dumps(_SHAPE)

_IS_ANSWER: Final = "{0}.outcome = 'answer' AND {0}.model IS NOT DISTINCT FROM r.model"
_ANSWERED: Final = (
    f"CASE WHEN {_IS_ANSWER.format('r.attempts[-1]')} THEN r.attempts[-1] "
    f"ELSE list_filter(r.attempts, lambda a: {_IS_ANSWER.format('a')})[-1] END"
)
"""The last attempt, in nearly all records, which is found quicker so."""

_MADE: Final = "list_filter(r.attempts, lambda a: a.held IS NULL)"
_WASTED: Final = f"""list_filter(
    list_transform({_MADE}, lambda a, i: {{
      'model': a.model,
      'outcome': a.outcome,
      'error': a.error,
      'cost_usd': a.cost_usd,
      'tokens': coalesce(
        a.usage.input_tokens + a.usage.output_tokens,
        CASE WHEN a.cost_usd = 0 THEN 0 ELSE r.features.input_tokens.likely END
      ),
      'followed': i < len({_MADE}),
      'used': CASE a.outcome
        WHEN 'answer' THEN coalesce(a.model = r.model, false)
        WHEN 'cancelled' THEN coalesce(a.committed AND r.ending <> 'committed', false)
        ELSE false
      END
    }}),
    lambda a: NOT a.used
  )"""
"""The calls that gave the caller nothing, by the rule of `Decision.waste_usd`: so few that reports read them quickly.
Their tokens are those reported, else the request's likely input where that was billed."""

COLUMNS: Final[dict[str, str]] = {
    "schema": "r.schema",
    "trace_id": "r.trace_id",
    "request_id": "r.request_id",
    "time": "r.time",
    "tenant": "r.tenant",
    "session": "r.tags['session']",
    "client": "coalesce(r.tags['client'], r.tenant)",
    "tags": "r.tags",
    "policy": "r.policy",
    "key": "r.key",
    "key_digest": "md5_number_lower(r.key)",
    "model": "r.model",
    "model_id": "coalesce(answered.model_id, hit.model_id)",
    "provider": "coalesce(answered.provider, nullif(split_part(hit.model_id, '/', 1), ''))",
    "window_tokens": "answered.window_tokens",
    "ending": "r.ending",
    "cache": "coalesce(r.cache, 'none')",
    "cost_usd": "r.cost_usd",
    "answer_usd": "coalesce(answered.cost_usd, CASE WHEN coalesce(len(r.attempts), 0) = 0 THEN r.cost_usd END)",
    "worst_case_usd": "r.worst_case_usd",
    "waste_usd": "r.waste_usd",
    "baseline": "r.baseline",
    "baseline_usd": "r.baseline_usd",
    "saved_usd": "r.saved_usd",
    "latency_s": "r.latency_s",
    "first_token_s": "answered.started_s + answered.first_token_s",
    "input_tokens": "got.input_tokens",
    "output_tokens": "got.output_tokens",
    "cached_input_tokens": "got.cached_input_tokens",
    "cache_write_tokens": "got.cache_write_tokens",
    "reasoning_tokens": "got.reasoning_tokens",
    "input_tokens_likely": "r.features.input_tokens.likely",
    "input_tokens_measured": "coalesce(list_max(map_values(r.features.exact_tokens)), r.features.input_tokens.likely)",
    "input_tokens_most": "r.features.input_tokens.high",
    "expected_output_tokens": "r.expected_output_tokens",
    "output_tokens_most": "r.features.output_tokens_most",
    "choices": "r.features.choices",
    "needs": "r.features.needs",
    "service_tier": "r.features.service_tier",
    "asked_model": "r.hints.model",
    "asked_quality": "r.hints.min_quality",
    "stream": "r.features.stream",
    "prefix": "list_transform(r.features.prefix, lambda m: "
    "{'digest': TRY_CAST('0x' || m[1] AS UBIGINT), 'size': TRY_CAST(m[2] AS BIGINT)})",
    "prefix_bytes": "TRY_CAST(r.features.prefix[-1][2] AS BIGINT)",
    "repeated_previous_tokens": "repeated.previous",
    "repeated_any_tokens": "repeated.any",
    "attempts": "r.attempts",
    "calls": f"len({_MADE})",
    "wasted": _WASTED,
    "source": "r.source",
    "record": "line",
}
"""By name, how a column is made of `r`, the record; `answered`, the attempt whose answer the caller got; `hit`, the
stored answer that the caller got; `got`, the usage of either; `repeated`, what a log of others says of its input."""


def projection(lines: str, /, *, strict: bool = False) -> str:
    """Returns the query that makes the columns of lines.

    Args:
        lines: SQL of a relation with a column `line`, each the JSON of a decision. What is none has a row too, and no
            `trace_id` or no `schema`.
        strict: whether a line that is no JSON is an error of the query, which is quicker than to expect one in each.
    """
    record = f"json_transform(line, '{SHAPE}')"
    columns = ",\n  ".join(f"{expression} AS {name}" for name, expression in COLUMNS.items())
    return f"""
SELECT
  {columns}
FROM (
  SELECT line, r, answered, hit, repeated, CASE WHEN answered IS NULL THEN hit.usage ELSE answered.usage END AS got
  FROM (
    SELECT
      line, r, {_ANSWERED} AS answered,
      CASE WHEN r.cache <> 'none' THEN json_transform(r.lookup.hit, '{_HIT}') END AS hit,
      CASE WHEN r.repeated_tokens IS NOT NULL THEN json_transform(r.repeated_tokens, '{_REPEATED}') END AS repeated
    FROM (SELECT line, {record if strict else f"TRY({record})"} AS r FROM {lines})
  )
)
"""  # noqa: S608 - made of the constants above


VERSION: Final = blake2b(projection("lines").encode(), digest_size=8).hexdigest()
"""Of the columns: a Parquet file that another one wrote is read from its lines, since how a column is made changed."""
