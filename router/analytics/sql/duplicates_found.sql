-- The requests whose content key occurs more than once, as a table for the queries that follow. Keys are compared by a
-- hash of 64 bits: among five million different ones two are taken for equal in one log of a million.
CREATE OR REPLACE TEMP TABLE repeated AS
WITH scope AS NOT MATERIALIZED ({scope}),
requests AS (
  SELECT
    hash(key) AS digest,
    left(key, 16) AS key,
    epoch_us(time) AS time_us,
    epoch_us(time) + coalesce(round(latency_s * 1000000), 0)::BIGINT AS ready_us,
    coalesce(ending = 'answer', model IS NOT NULL) AS answered,
    cache <> 'none' AS stored,
    client,
    cost_usd
  FROM scope
  WHERE key IS NOT NULL AND time IS NOT NULL
)
SELECT *
FROM requests
WHERE digest IN (SELECT digest FROM requests GROUP BY digest HAVING count(*) > 1)
