-- The table `cache_curve`: how many requests a cache would have answered that keeps each answer for `ttl_s`. Each key's
-- requests are gone through in order: an answer is stored when it comes, it is found for so long and no longer, and an
-- equal request that comes while the answer is under way shares it. The cache is (until when, hits, saved, hits of
-- unknown cost).
WITH
  [60, 300, 900, 3600, 10800, 21600, 43200, 86400, 172800, 604800, 1209600, 2592000] AS ttls_s,
  CAST((0, 0, 0, 0), 'Tuple(Int64, Int64, Decimal(38, 18), Int64)') AS empty,
  (SELECT count() FROM decisions) AS requests,
  (SELECT sum(cost_usd) FROM decisions) AS whole_usd
SELECT
  ttl_s,
  sum(cache.2) AS hits,
  sum(cache.2) / nullIf(requests, 0) AS share,
  sum(cache.3) AS saved_usd,
  toFloat64(sum(cache.3)) / nullIf(toFloat64(whole_usd), 0) AS saved_share,
  sum(cache.4) AS unknown_cost
FROM (
  SELECT
    arrayJoin(ttls_s) AS ttl_s,
    arrayFold(
      (cache, r) -> CAST(
        (
          if(r.1 < cache.1 OR NOT r.3, cache.1, r.2 + ttl_s * 1000000),
          cache.2 + (r.1 < cache.1),
          cache.3 + if(r.1 < cache.1, coalesce(r.4, toDecimal128(0, 18)), toDecimal128(0, 18)),
          cache.4 + (r.1 < cache.1 AND r.4 IS NULL)
        ),
        'Tuple(Int64, Int64, Decimal(38, 18), Int64)'
      ),
      all,
      empty
    ) AS cache
  FROM (
    SELECT arrayMap(
      r -> (r.2, r.3, r.4, r.5),
      arraySort(
        r -> r.1, groupArray((place, assumeNotNull(time_us), assumeNotNull(ready_us), answered, cost_usd))
      )
    ) AS all
    FROM repeated
    GROUP BY digest
  )
  UNION ALL
  SELECT arrayJoin(ttls_s), empty
)
GROUP BY ttl_s
ORDER BY ttl_s
