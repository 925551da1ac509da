-- The table `storms`: three or more equal requests of one client, each within {within_s:Float64} seconds of the one
-- before it.
WITH
gaps AS (
  SELECT
    digest,
    key,
    client,
    time_us,
    cost_usd,
    time_us - lag(toNullable(time_us)) OVER (PARTITION BY digest, client ORDER BY time_us) AS gap_us
  FROM repeated
),
runs AS (
  SELECT
    *,
    sum(if(gap_us <= {within_s:Float64} * 1000000, 0, 1)) OVER (
      PARTITION BY digest, client ORDER BY time_us, gap_us DESC NULLS FIRST ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    ) AS run
  FROM gaps
),
found AS (
  SELECT
    min(r.key) AS key,
    client,
    min(time_us) AS first_us,
    max(time_us) AS last_us,
    count() AS requests,
    sum(r.cost_usd) AS cost_usd,
    countIf(r.cost_usd IS NULL) AS unknown_cost
  FROM runs AS r
  GROUP BY digest, client, run
  HAVING count() >= 3
)
SELECT
  count() AS storms,
  sum(f.requests) AS requests,
  sum(f.requests) / nullIf((SELECT count() FROM decisions), 0) AS share,
  if(count() = 0, toDecimal128(0, 18), sum(f.cost_usd)) AS cost_usd,
  toFloat64(sum(f.cost_usd)) / nullIf(toFloat64((SELECT sum(cost_usd) FROM decisions)), 0) AS cost_share,
  sum(f.unknown_cost) AS unknown_cost
FROM found AS f
