-- What all other files of this folder read. The place in braces takes a table of the columns of docs/logs.md, a table
-- function such as file('decisions/compacted/date=*/*.parquet', Parquet), or a query of either in parentheses, which is
-- where a window and filters go.
CREATE VIEW decisions AS
SELECT
  *,
  toUnixTimestamp64Micro(time) AS time_us,
  toUnixTimestamp64Micro(time) + toInt64(coalesce(round(latency_s * 1000000), 0)) AS ready_us,
  fromUnixTimestamp64Micro(intDiv(toUnixTimestamp64Micro(time), 86400000000) * 86400000000, 'UTC') AS day,
  fromUnixTimestamp64Micro(intDiv(toUnixTimestamp64Micro(time), 3600000000) * 3600000000, 'UTC') AS hour,
  coalesce(ending = 'answer', model IS NOT NULL) AS answered,
  cache <> 'none' AS stored
FROM {source};

-- Calls that gave the caller nothing.
CREATE VIEW wasted_calls AS
SELECT
  a.model AS model,
  a.outcome AS class,
  nullIf(leftUTF8(a.error, 120), '') AS error,
  a.cost_usd AS cost_usd,
  if(known, a.cost_usd, NULL) AS known_usd,
  a.tokens AS tokens,
  multiIf(
    a.outcome IN ('timed_out', 'cut'), 'time-outs',
    a.outcome = 'unusable', 'unusable answers',
    a.outcome IN ('answer', 'cancelled'), 'answers not used',
    a.followed, 'retried failures',
    'last failures'
  ) AS kind
FROM (SELECT cost_usd IS NOT NULL AS known, arrayJoin(wasted) AS a FROM decisions);

-- Errors of failed calls, the commonest of each model and class first. Those that differ in numbers and ids alone are one.
CREATE VIEW failed_calls AS
SELECT
  *,
  row_number() OVER (PARTITION BY model, class ORDER BY error IS NULL, calls DESC, error) AS place,
  sum(calls) OVER (PARTITION BY model, class) AS class_calls,
  sum(calls) OVER (PARTITION BY model) AS model_calls,
  sum(calls) OVER () AS all_calls,
  sum(cost_usd) OVER (PARTITION BY model, class) AS class_usd,
  sum(unknown_cost) OVER (PARTITION BY model, class) AS class_unknown
FROM (
  SELECT
    model,
    class,
    min(w.error) AS error,
    count() AS calls,
    sum(w.cost_usd) AS cost_usd,
    countIf(w.cost_usd IS NULL) AS unknown_cost
  FROM wasted_calls AS w
  WHERE class NOT IN ('answer', 'cancelled')
  GROUP BY model, class, replaceRegexpAll(w.error, '[A-Za-z_]*[0-9][A-Za-z0-9_.,:-]*', '#')
);

-- Requests whose content key occurs more than once, numbered in their order.
CREATE VIEW repeated AS
SELECT
  key_digest AS digest,
  leftUTF8(d.key, 16) AS key,
  time_us,
  ready_us,
  answered,
  stored,
  client,
  cost_usd,
  row_number() OVER (
    PARTITION BY key_digest ORDER BY time_us, ready_us, answered, cost_usd NULLS LAST, stored
  ) AS place
FROM decisions AS d
WHERE time IS NOT NULL AND key_digest IN (
  SELECT key_digest FROM decisions WHERE key_digest IS NOT NULL AND time IS NOT NULL GROUP BY key_digest HAVING count() > 1
);
