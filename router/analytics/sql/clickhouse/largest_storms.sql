-- The table `largest_storms`: the ten with the most requests; see storms.sql.
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
  key,
  client,
  requests,
  fromUnixTimestamp64Micro(first_us, 'UTC') AS first,
  (last_us - first_us) / 1000000 AS lasted_s,
  cost_usd
FROM found
ORDER BY requests DESC, first_us, key, client
LIMIT 10
