-- Beginnings that were sent more than once: when first, and how often, as a table for the queries that follow.
CREATE OR REPLACE TEMP TABLE beginnings AS
WITH scope AS NOT MATERIALIZED ({scope}),
marks AS (
  SELECT epoch_us(time) AS time_us, unnest(prefix) AS mark
  FROM scope
  WHERE cache = 'none' AND model IS NOT NULL AND input_tokens IS NOT NULL
    AND prefix_bytes > 0 AND time IS NOT NULL AND repeated_previous_tokens IS NULL AND repeated_any_tokens IS NULL
)
SELECT mark.digest AS digest, min(time_us) AS first_us, count(*) AS requests, max(mark.size) AS size
FROM marks
GROUP BY mark.digest
HAVING count(*) > 1
