"""How long does a report over a large log take, and how much memory? Five million decisions in Parquet, two cores.

    python benchmarks/report.py [--decisions 5000000] [--folder DIR] [--memory-mb 700]

The log is made in DuckDB, a store with one file for each of 30 days: 8 models, one request in ten a repeated one, six
of ten in sessions, one to three attempts, and about three marks of what each request begins with. The report is then
made in a process of its own. The bar: at most 8 s on two cores and 1 GB resident. Where other work runs beside it,
read the CPU seconds: two cores have 16 of them in 8 s.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb
import pyarrow as pa  # type: ignore[import-untyped]  # it ships no types

from router.analytics.columns import COLUMNS, VERSION, projection
from router.analytics.log import opened
from router.analytics.parsing import ROW_GROUP, write_rows
from router.analytics.places import store_of
from router.analytics.report import report_of
from router.analytics.report_options import Options
from router.analytics.report_prices import Prices
from router.analytics.store import Commit, commit, read_state
from router.prices.litellm_map import load_price_map

DAYS = 30
MODELS = """
[('deepseek/deepseek-v3.2', 'deepseek', 163840), ('openai/gpt-4.1', 'openai', 1047576),
 ('openai/gpt-4.1-mini', 'openai', 1047576), ('anthropic/claude-sonnet-4-5', 'anthropic', 200000),
 ('gemini/gemini-2.5-flash', 'gemini', 1048576), ('gemini/gemini-2.5-pro', 'gemini', 1048576),
 ('mistral/mistral-small-latest', 'mistral', 131072), ('openai/gpt-4o-mini', 'openai', 128000)]
"""

# A request `i` of `n`: which model, session, application, attempts and key it has follows from hashes of its number.
REQUESTS = """
WITH numbered AS (
  SELECT
    i,
    hash(i) AS h,
    hash(i, 1) AS h2,
    -- a thousand sessions under way at a time, of 16 requests each
    CASE WHEN hash(i // 16000, i % 1000) % 10 < 6 THEN i // 16000 * 1000 + i % 1000 END AS session,
    (i // 1000 % 16)::INTEGER AS turn
  FROM range({first}, {last}) AS t(i)
),
drawn AS (
  SELECT
    *,
    hash(coalesce(session, i)) % 200 AS app,
    -- in a power law, as models are used
    CASE WHEN h % 100 < 45 THEN 0 WHEN h % 100 < 65 THEN 1 WHEN h % 100 < 78 THEN 2 ELSE 3 + h % 5 END::INTEGER AS m,
    h2 % 10 = 0 AS repeats,
    CASE WHEN h2 % 97 < 90 THEN 0 WHEN h2 % 97 < 96 THEN 1 ELSE 2 END::INTEGER AS failed,
    h % 20 = 7 AS stored,
    (200 + h % 3000 + CASE WHEN session IS NULL THEN 0 ELSE turn * 400 END)::BIGINT AS input,
    (20 + h2 % 700)::BIGINT AS output,
    0.2 + (h % 100000) / 20000.0 AS latency,
    struct_extract_at({models}[m + 1], 1) AS id,
    struct_extract_at({models}[m + 1], 2) AS maker,
    struct_extract_at({models}[m + 1], 3) AS span
  FROM numbered
),
told AS (
  SELECT
    *,
    struct_pack(
      input_tokens := input, output_tokens := output,
      cached_input_tokens := CASE WHEN h % 3 = 0 THEN input // 2 END,
      cache_write_tokens := NULL, reasoning_tokens := CASE WHEN h % 11 = 0 THEN 50 END
    ) AS usage,
    ((input * 3 + output * 15)::DECIMAL(38, 18) / 1000000)::DECIMAL(38, 18) AS cost,
    i // 10 * 10 + CASE WHEN repeats THEN -1000 * (1 + h2 % 500) ELSE i % 10 END AS key_of
  FROM drawn
)
SELECT
  1 AS schema,
  md5(i::VARCHAR) AS trace_id,
  left(md5((-i)::VARCHAR), 16) AS request_id,
  make_timestamptz(({day} * 86400000000 + (i - {first}) * 86400000000 // ({last} - {first})
    + 1793491200000000)::BIGINT) AS time,
  'tenant-' || app % 20 AS tenant,
  session::VARCHAR AS session,
  'host-' || h % 50 AS client,
  map {{'session': session::VARCHAR, 'team': 'team-' || app % 10, 'client': 'host-' || h % 50}} AS tags,
  CASE WHEN app % 3 = 0 THEN 'careful' ELSE 'default' END AS policy,
  md5(key_of::VARCHAR) || md5(key_of::VARCHAR || 'x') AS key,
  md5_number_lower(md5(key_of::VARCHAR) || md5(key_of::VARCHAR || 'x')) AS key_digest,
  CASE WHEN failed < 2 THEN split_part(id, '/', 2) END AS model,
  CASE WHEN failed < 2 THEN id END AS model_id,
  CASE WHEN failed < 2 THEN maker END AS provider,
  CASE WHEN failed < 2 THEN span END AS window_tokens,
  CASE WHEN failed < 2 THEN 'answer' ELSE 'bounds' END AS ending,
  CASE WHEN stored AND failed < 2 THEN 'memory' ELSE 'none' END AS cache,
  CASE WHEN stored AND failed < 2 THEN 0 ELSE cost * (1 + failed) END AS cost_usd,
  CASE WHEN stored AND failed < 2 THEN 0 WHEN failed < 2 THEN cost END AS answer_usd,
  cost * 4 AS worst_case_usd,
  CASE WHEN stored AND failed < 2 THEN 0 ELSE cost * failed END AS waste_usd,
  'claude-sonnet-4-5' AS baseline,
  cost * 2 AS baseline_usd,
  CASE WHEN stored AND failed < 2 THEN cost ELSE 0 END AS saved_usd,
  latency AS latency_s,
  CASE WHEN h % 2 = 0 THEN latency / 4 END AS first_token_s,
  CASE WHEN failed < 2 THEN input END AS input_tokens,
  CASE WHEN failed < 2 THEN output END AS output_tokens,
  CASE WHEN failed < 2 THEN usage.cached_input_tokens END AS cached_input_tokens,
  NULL AS cache_write_tokens,
  CASE WHEN failed < 2 THEN usage.reasoning_tokens END AS reasoning_tokens,
  input AS input_tokens_likely,
  input AS input_tokens_measured,
  input * 3 AS input_tokens_most,
  500 AS expected_output_tokens,
  CASE WHEN h % 4 = 0 THEN 1024 WHEN h % 4 = 1 THEN 4096 END AS output_tokens_most,
  1 AS choices,
  [] AS needs,
  NULL AS service_tier,
  NULL AS asked_model,
  NULL AS asked_quality,
  h % 2 = 0 AS stream,
  list_filter([
    {{'digest': hash(app, 11), 'size': 2000 + app}},
    CASE WHEN h % 5 < 2 THEN {{'digest': hash(app, 12), 'size': 3000 + app}} END,
    CASE WHEN session IS NOT NULL AND turn > 0
      THEN {{'digest': hash(session, turn - 1), 'size': 4000 + 1600 * turn}} END,
    {{'digest': hash(coalesce(session, i + 1000000000000), turn), 'size': 5600 + 1600 * turn}}
  ], lambda mark: mark IS NOT NULL) AS prefix,
  5600 + 1600 * turn AS prefix_bytes,
  NULL AS repeated_previous_tokens,
  NULL AS repeated_any_tokens,
  CASE WHEN stored AND failed < 2 THEN [] ELSE list_transform(
    range(1 + CASE WHEN failed = 2 THEN 1 ELSE failed END),
    lambda a: struct_pack(
      model := split_part(id, '/', 2), model_id := id, provider := maker, window_tokens := span,
      started_s := a::DOUBLE, latency_s := latency, first_token_s := CASE WHEN h % 2 = 0 THEN latency / 4 END,
      outcome := CASE
        WHEN failed < 2 AND a = failed THEN 'answer'
        ELSE ['refused', 'server_error', 'timed_out', 'unusable'][1 + (h2 % 4)::INTEGER] END,
      status := CASE WHEN failed < 2 AND a = failed THEN 200 ELSE 500 END,
      code := NULL,
      error := CASE WHEN failed = 2 OR a < failed THEN 'upstream failed: request ' || h2 % 1000 || ' of ' || h % 5 END,
      committed := false, held := NULL, hedge := false, finish_reason := 'stop',
      usage := CASE WHEN failed < 2 AND a = failed THEN usage END,
      cost_usd := cost, billing := 'billed', worst_usd := cost * 2
    )
  ) END AS attempts,
  CASE WHEN stored AND failed < 2 THEN 0 WHEN failed = 2 THEN 2 ELSE 1 + failed END AS calls,
  CASE WHEN failed = 0 OR stored AND failed < 2 THEN [] ELSE list_transform(
    range(failed),
    lambda a: struct_pack(
      model := split_part(id, '/', 2),
      outcome := ['refused', 'server_error', 'timed_out', 'unusable'][1 + (h2 % 4)::INTEGER],
      error := 'upstream failed: request ' || h2 % 1000 || ' of ' || h % 5,
      cost_usd := cost, tokens := input, followed := failed = 1 OR a = 0, used := false
    )
  ) END AS wasted,
  NULL AS source,
  NULL AS record
FROM told
"""


def make_log(folder: Path, decisions: int) -> None:
    """Writes the decisions of each day into a file of a store, as `lowfare compact --merge` leaves it."""
    store = store_of(folder)
    state = read_state(store)
    with duckdb.connect(config={"threads": 2, "memory_limit": "1500MB"}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        empty = projection("(SELECT NULL::VARCHAR AS line LIMIT 0)")
        types = {row[0]: row[1] for row in connection.execute(f"DESCRIBE {empty}").fetchall()}
        columns = ", ".join(f"{name}::{types[name]} AS {name}" for name in COLUMNS)
        for day in range(DAYS):
            first, last = decisions * day // DAYS, decisions * (day + 1) // DAYS
            requests = REQUESTS.format(first=first, last=last, day=day, models=MODELS)
            rows = connection.sql(f"SELECT {columns} FROM ({requests})").to_arrow_reader(ROW_GROUP)  # noqa: S608 - of the constants above
            tables = (pa.Table.from_batches([batch]) for batch in rows)
            file = write_rows(tables, rows.schema, store, f"date=2026-11-{day + 1:02}")
            after = commit(store, state, Commit(added=(file,)))
            assert after is not None
            state = after


def is_made(folder: Path) -> bool:
    """Returns whether there is such a log, with the columns that this version reads."""
    files = read_state(store_of(folder)).files.values()
    return bool(files) and all(file.columns == VERSION for file in files)


def measure(folder: Path, memory_mb: int) -> dict[str, float]:
    """Returns what a report over these files takes, in this process."""
    started_s, cpu_s = time.perf_counter(), time.process_time()
    with opened(folder, memory_mb=memory_mb, threads=2) as connection:
        options = Options(by=("tenant",), baseline="openai/gpt-4.1", prices=Prices(price_map=load_price_map()))
        report = report_of(connection, options)
    assert report.sections
    return {
        "wall_s": time.perf_counter() - started_s,
        "cpu_s": time.process_time() - cpu_s,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    """Makes the log, unless it is there, and measures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--decisions", type=int, default=5_000_000)
    parser.add_argument("--folder", type=Path, help="where the log is, or is to be; without it a temporary one")
    parser.add_argument("--memory-mb", type=int, default=700)
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.folder, options.memory_mb)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        if not is_made(folder):
            make_log(folder, options.decisions)
        size = sum(file.size for file in read_state(store_of(folder)).files.values())
        print(f"{options.decisions:,} decisions, {size / 1e6:,.0f} MB of Parquet, {os.cpu_count()} cores")
        command = [
            sys.executable,
            __file__,
            "--measure",
            "--folder",
            str(folder),
            "--memory-mb",
            str(options.memory_mb),
        ]
        taken = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)  # noqa: S603 - this file
        print("report: {wall_s:.1f} s, {cpu_s:.1f} s of CPU, at most {peak_mb:,.0f} MB resident".format(**taken))


if __name__ == "__main__":
    main()
