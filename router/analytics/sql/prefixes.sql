-- The beginnings that were sent again with the most bytes in all. Of those that the same requests begin with only the
-- longest is shown: they have the same number of requests and the same first time.
WITH most AS (
  SELECT digest, size, requests, first_us, (requests - 1) * size AS resent_bytes
  FROM beginnings
  ORDER BY resent_bytes DESC
  LIMIT 1000
)
SELECT lower(to_hex(digest)) AS hex, size, requests, resent_bytes, first_us
FROM most
QUALIFY size = max(size) OVER (PARTITION BY requests, first_us)
ORDER BY resent_bytes DESC, size DESC, digest
LIMIT 10
