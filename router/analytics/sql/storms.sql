-- Retry storms: three or more equal requests of one client, each within `$within_s` of the one before it.
WITH gaps AS (
  SELECT
    * EXCLUDE (gap_us),
    time_us - lag(time_us) OVER (PARTITION BY digest, client ORDER BY time_us) AS gap_us
  FROM repeated
),
runs AS (
  SELECT
    *,
    sum(CASE WHEN gap_us <= $within_s * 1000000 THEN 0 ELSE 1 END)
      OVER (PARTITION BY digest, client ORDER BY time_us, gap_us DESC NULLS FIRST ROWS UNBOUNDED PRECEDING) AS run
  FROM gaps
),
storms AS (
  SELECT
    min(key) AS key,
    client,
    min(time_us) AS first_us,
    max(time_us) AS last_us,
    count(*) AS requests,
    sum(cost_usd) AS cost_usd,
    count(*) FILTER (WHERE cost_usd IS NULL) AS unknown_cost
  FROM runs
  GROUP BY digest, client, run
  HAVING count(*) >= 3
),
largest AS (
  SELECT *, 1 AS storms FROM storms ORDER BY requests DESC, first_us, key, client LIMIT 10
)
SELECT
  NULL AS key,
  NULL AS client,
  NULL AS first_us,
  NULL AS last_us,
  coalesce(sum(requests), 0)::BIGINT AS requests,
  sum(cost_usd) AS cost_usd,
  coalesce(sum(unknown_cost), 0)::BIGINT AS unknown_cost,
  count(*) AS storms
FROM storms
UNION ALL
SELECT * FROM largest
ORDER BY key IS NOT NULL, requests DESC, first_us, key, client
