-- The table `prefixes`: the ten beginnings that were resent with the most bytes. Of those that the same requests begin with
-- only the longest is shown: they have the same number of requests and the same first time.
WITH
beginnings AS (
  SELECT mark.1 AS beginning, count() AS requests, max(mark.2) AS size, min(time_us) AS first_us
  FROM (
    SELECT arrayJoin(prefix) AS mark, time_us
    FROM decisions
    WHERE NOT stored AND model IS NOT NULL AND input_tokens IS NOT NULL AND time IS NOT NULL
      AND repeated_previous_tokens IS NULL AND repeated_any_tokens IS NULL
  )
  GROUP BY beginning
  HAVING count() > 1
),
most AS (
  SELECT *, (requests - 1) * size AS resent_bytes FROM beginnings ORDER BY resent_bytes DESC LIMIT 1000
)
SELECT
  leftPad(lower(hex(beginning)), 16, '0') AS digest,
  size AS bytes,
  requests,
  resent_bytes,
  fromUnixTimestamp64Micro(first_us, 'UTC') AS first
FROM (SELECT *, max(size) OVER (PARTITION BY requests, first_us) AS longest FROM most)
WHERE size = longest
ORDER BY resent_bytes DESC, size DESC, digest
LIMIT 10
