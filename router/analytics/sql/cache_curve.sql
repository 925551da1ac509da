-- How many requests a cache would have answered that keeps each answer for `ttl_s`, for each of `$ttls_s`: an answer is
-- stored when it comes, it is found for so long and no longer, a hit does not prolong that, and an equal request that comes
-- while the answer is under way shares it. For most keys it is plain that all repeats are hits, or that none is; where it
-- is some of them, the key's requests are gone through in order. Keys that came more than `$often` times are left out:
-- router/analytics/cache_played.py plays them.
WITH keys AS (
  SELECT
    digest,
    bool_and(answered) AS answered,
    min(ready_us) FILTER (WHERE place = 1) AS first_us,
    max(time_us) AS last_us,
    min(gap_us) AS gap_us,
    count(*) - 1 AS hits,
    coalesce(sum(cost_usd) FILTER (WHERE place > 1), 0) AS usd,
    count(*) FILTER (WHERE place > 1 AND cost_usd IS NULL) AS unknown
  FROM repeated
  GROUP BY digest
  HAVING count(*) <= $often
),
timed AS (
  SELECT
    *,
    ttl_s * 1000000 AS ttl_us,
    answered AND last_us < first_us + ttl_s * 1000000 AS all_hit,
    answered AND gap_us >= ttl_s * 1000000 AS none_hits
  FROM keys, (SELECT unnest($ttls_s::BIGINT[]) AS ttl_s)
),
requests AS (
  SELECT
    digest,
    list(
      -- These have the fields of the cache that goes through them.
      {
        'time_us': time_us, 'until_us': ready_us, 'answered': answered, 'usd': cost_usd,
        'hits': 0::BIGINT, 'unknown': 0::BIGINT
      }
      ORDER BY place
    ) AS requests
  FROM repeated
  WHERE digest IN (SELECT digest FROM timed WHERE NOT all_hit AND NOT none_hits)
  GROUP BY digest
),
played AS (
  SELECT
    ttl_s,
    list_reduce(
      requests,
      lambda cache, r: {
        'time_us': r.time_us,
        'until_us': CASE
          WHEN r.time_us < cache.until_us OR NOT r.answered THEN cache.until_us
          ELSE r.until_us + ttl_us
        END,
        'answered': r.answered,
        'usd': cache.usd + CASE WHEN r.time_us < cache.until_us THEN coalesce(r.usd, 0) ELSE 0 END,
        'hits': cache.hits + (r.time_us < cache.until_us)::BIGINT,
        'unknown': cache.unknown + (r.time_us < cache.until_us AND r.usd IS NULL)::BIGINT
      },
      {
        'time_us': 0::BIGINT, 'until_us': 0::BIGINT, 'answered': false, 'usd': 0::DECIMAL(38, 18),
        'hits': 0::BIGINT, 'unknown': 0::BIGINT
      }
    ) AS cache
  FROM timed
  JOIN requests USING (digest)
  WHERE NOT all_hit AND NOT none_hits
),
counted AS (
  SELECT ttl_s, hits, usd, unknown FROM timed WHERE all_hit
  UNION ALL
  SELECT ttl_s, 0, 0, 0 FROM timed WHERE none_hits AND NOT all_hit
  UNION ALL
  SELECT ttl_s, cache.hits, cache.usd, cache.unknown FROM played
)
SELECT
  ttl_s,
  sum(hits)::BIGINT AS hits,
  sum(usd)::DECIMAL(38, 18) AS saved_usd,
  sum(unknown)::BIGINT AS unknown_cost
FROM counted
GROUP BY ttl_s
ORDER BY ttl_s
