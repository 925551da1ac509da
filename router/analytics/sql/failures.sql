-- Failed calls by model and class, each with the three commonest errors. Errors that differ in numbers and ids alone are
-- one, shown by the example that sorts first.
WITH worded AS (
  SELECT model, outcome AS class, cost_usd, error
  FROM wasted_calls
  WHERE outcome NOT IN ('answer', 'cancelled')
),
errors AS (
  SELECT
    model,
    class,
    min(error) AS error,
    count(*) AS calls,
    sum(cost_usd) AS cost_usd,
    count(*) FILTER (WHERE cost_usd IS NULL) AS unknown_cost
  FROM worded
  GROUP BY model, class, regexp_replace(error, '[A-Za-z_]*[0-9][A-Za-z0-9_.,:-]*', '#', 'g')
),
ranked AS (
  SELECT
    *,
    row_number() OVER (PARTITION BY model, class ORDER BY error IS NULL, calls DESC, error) AS place,
    sum(calls) OVER (PARTITION BY model, class) AS all_calls,
    sum(cost_usd) OVER (PARTITION BY model, class) AS all_cost_usd,
    sum(unknown_cost) OVER (PARTITION BY model, class) AS all_unknown_cost
  FROM errors
)
SELECT
  model,
  class,
  place,
  error,
  calls,
  all_calls::BIGINT AS all_calls,
  all_cost_usd AS cost_usd,
  all_unknown_cost::BIGINT AS unknown_cost
FROM ranked
WHERE place <= 3
ORDER BY all_calls DESC, model, class, place
