-- Calls that gave the caller nothing, by kind and by model apart.
WITH kinds AS (
  SELECT
    CASE
      WHEN outcome IN ('timed_out', 'cut') THEN 'time-outs'
      WHEN outcome = 'unusable' THEN 'unusable answers'
      WHEN outcome IN ('answer', 'cancelled') THEN 'answers not used'
      WHEN followed THEN 'retried failures'
      ELSE 'last failures'
    END AS kind,
    model,
    tokens,
    cost_usd,
    CASE WHEN known THEN cost_usd END AS known_usd
  FROM wasted_calls
)
SELECT
  grouping(kind) = 0 AS of_kinds,
  kind,
  model,
  count(*) AS calls,
  count(*) FILTER (WHERE cost_usd > 0) AS billed,
  sum(tokens)::BIGINT AS tokens,
  sum(cost_usd) AS cost_usd,
  -- Of requests whose cost is known: what the cost of all is a sum of.
  sum(known_usd) AS known_usd,
  count(*) FILTER (WHERE cost_usd IS NULL) AS unknown_cost
FROM kinds
GROUP BY GROUPING SETS ((kind), (model))
ORDER BY cost_usd DESC NULLS LAST, calls DESC, kind, model
