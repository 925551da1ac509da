-- By key that occurs more than once: all requests but the first one, and what they cost; the ten dearest, and in a row
-- without a key the sums of all.
WITH keys AS (
  SELECT
    min(key) AS key,
    count(*) - 1 AS repeats,
    sum(cost_usd) FILTER (WHERE place > 1) AS cost_usd,
    count(*) FILTER (WHERE place > 1 AND cost_usd IS NULL) AS unknown_cost,
    count(*) FILTER (WHERE place > 1 AND stored) AS stored,
    min(time_us) AS first_us,
    max(time_us) AS last_us
  FROM repeated
  GROUP BY digest
),
whole AS (
  SELECT
    NULL AS key,
    coalesce(sum(repeats), 0)::BIGINT AS repeats,
    sum(cost_usd) AS cost_usd,
    coalesce(sum(unknown_cost), 0)::BIGINT AS unknown_cost,
    coalesce(sum(stored), 0)::BIGINT AS stored,
    NULL AS first_us,
    NULL AS last_us,
    count(*) AS keys
  FROM keys
),
dearest AS (
  SELECT *, 1 AS keys FROM keys ORDER BY cost_usd DESC NULLS LAST, repeats DESC, key LIMIT 10
)
SELECT * FROM whole
UNION ALL
SELECT * FROM dearest
ORDER BY key IS NOT NULL, cost_usd DESC NULLS LAST, repeats DESC, key
