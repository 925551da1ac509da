-- Calls that gave the caller nothing, by kind and by model apart, in one scan.
WITH scope AS NOT MATERIALIZED ({scope}),
calls AS (SELECT unnest(wasted) AS a FROM scope WHERE len(wasted) > 0),
kinds AS (
  SELECT
    CASE
      WHEN a.outcome IN ('timed_out', 'cut') THEN 'time-outs'
      WHEN a.outcome = 'unusable' THEN 'unusable answers'
      WHEN a.outcome IN ('answer', 'cancelled') THEN 'answers not used'
      WHEN a.followed THEN 'retried failures'
      ELSE 'last failures'
    END AS kind,
    a.model AS model,
    a.tokens AS tokens,
    a.cost_usd AS cost_usd
  FROM calls
)
SELECT
  grouping(kind) = 0 AS of_kinds,
  kind,
  model,
  count(*) AS calls,
  count(*) FILTER (cost_usd > 0) AS billed,
  sum(tokens)::BIGINT AS tokens,
  sum(cost_usd) AS cost_usd,
  count(*) FILTER (cost_usd IS NULL) AS unknown_cost
FROM kinds
GROUP BY GROUPING SETS ((kind), (model))
ORDER BY cost_usd DESC NULLS LAST, calls DESC, kind, model
