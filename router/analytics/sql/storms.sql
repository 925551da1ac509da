-- Retry storms: three or more equal requests of one client, each within `$within_s` of the one before it.
WITH scope AS NOT MATERIALIZED ({scope}),
-- Few keys came so often from one client: all others are left out before anything is sorted. Two clients of one hash
-- leave out less.
often AS (
  SELECT digest, hash(client) AS of_client FROM repeated GROUP BY ALL HAVING count(*) >= 3
),
gaps AS (
  SELECT
    r.digest,
    r.client,
    r.time_us,
    r.cost_usd,
    r.time_us - lag(r.time_us) OVER (PARTITION BY r.digest, r.client ORDER BY r.time_us) AS gap_us
  FROM repeated r
  WHERE (r.digest, hash(r.client)) IN (SELECT digest, of_client FROM often)
),
runs AS (
  SELECT
    *,
    sum(CASE WHEN gap_us <= $within_s * 1000000 THEN 0 ELSE 1 END)
      OVER (PARTITION BY digest, client ORDER BY time_us, gap_us DESC NULLS FIRST ROWS UNBOUNDED PRECEDING) AS run
  FROM gaps
),
found AS (
  SELECT
    digest,
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
spelt AS (
  SELECT key_digest AS digest, min(left(key, 16)) AS key
  FROM scope
  WHERE key_digest IN (SELECT digest FROM found) AND time IS NOT NULL
  GROUP BY key_digest
),
storms AS (
  SELECT spelt.key, found.* EXCLUDE (digest) FROM found JOIN spelt USING (digest)
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
