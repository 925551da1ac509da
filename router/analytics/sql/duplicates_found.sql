-- The requests whose content key occurs more than once, in their order, as a table for the queries that follow. Keys are
-- compared by 64 bits of their MD5: of five million different ones two are taken for equal in one log of a million. They
-- themselves are long, and read for those alone that are shown.
CREATE OR REPLACE TEMP TABLE repeated AS
WITH scope AS NOT MATERIALIZED ({scope}),
requests AS (
  SELECT
    key_digest AS digest,
    epoch_us(time) AS time_us,
    epoch_us(time) + coalesce(round(latency_s * 1000000), 0)::BIGINT AS ready_us,
    coalesce(ending = 'answer', model IS NOT NULL) AS answered,
    cache <> 'none' AS stored,
    client,
    cost_usd
  FROM scope
  WHERE key_digest IS NOT NULL AND time IS NOT NULL
)
SELECT
  *,
  row_number() OVER in_order AS place,
  time_us - lag(ready_us) OVER in_order AS gap_us
FROM requests
WHERE digest IN (
  SELECT key_digest FROM scope WHERE time IS NOT NULL GROUP BY key_digest HAVING count(*) > 1
)
WINDOW in_order AS (PARTITION BY digest ORDER BY time_us, ready_us, answered, cost_usd NULLS LAST, stored)
