-- By key that occurs more than once: all requests but the first one, and what they cost; the ten dearest, and in a row
-- without a key the sums of all.
WITH scope AS NOT MATERIALIZED ({scope}),
keys AS (
  SELECT
    digest,
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
    NULL AS digest,
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
  SELECT *, 1 AS keys FROM keys ORDER BY cost_usd DESC NULLS LAST, repeats DESC, digest LIMIT 10
),
spelt AS (
  SELECT key_digest AS digest, min(left(key, 16)) AS key
  FROM scope
  WHERE key_digest IN (SELECT digest FROM dearest) AND time IS NOT NULL
  GROUP BY key_digest
)
SELECT NULL AS key, * EXCLUDE (digest) FROM whole
UNION ALL
SELECT key, dearest.* EXCLUDE (digest) FROM dearest JOIN spelt USING (digest)
ORDER BY key IS NOT NULL, cost_usd DESC NULLS LAST, repeats DESC, key
