-- The beginnings that were sent again with the most bytes in all. Of those that the same requests begin with only the
-- longest is shown: two have the same number of requests and the same first time.
WITH longest AS (
  SELECT requests, first_us, max(size) AS size, arg_max(digest, size) AS digest
  FROM beginnings
  GROUP BY requests, first_us
)
SELECT lower(to_hex(digest)) AS digest, size, requests, (requests - 1) * size AS resent_bytes, first_us
FROM longest
ORDER BY resent_bytes DESC, size DESC, digest
LIMIT 10
