-- How many requests a cache would have answered that keeps each answer for `ttl_s`, for each of `$ttls_s`: an answer is
-- stored when it comes, it is found for so long and no longer, a hit does not prolong that, and an equal request that comes
-- while the answer is under way shares it. Each key's requests are gone through once, in order.
WITH keys AS (
  SELECT
    list(
      {
        'time_us': time_us, 'ready_us': ready_us, 'answered': answered, 'cost_usd': cost_usd,
        'until_us': 0::BIGINT, 'hits': 0::BIGINT, 'saved_usd': 0::DECIMAL(38, 18), 'unknown': 0::BIGINT
      }
      ORDER BY time_us, ready_us, answered, cost_usd NULLS LAST, stored
    ) AS requests
  FROM repeated
  GROUP BY digest
),
played AS (
  SELECT
    ttl_s,
    list_reduce(
      requests,
      lambda cache, r: {
        'time_us': r.time_us, 'ready_us': r.ready_us, 'answered': r.answered, 'cost_usd': r.cost_usd,
        'until_us': CASE
          WHEN r.time_us < cache.until_us OR NOT r.answered THEN cache.until_us
          ELSE r.ready_us + ttl_s * 1000000
        END,
        'hits': cache.hits + (r.time_us < cache.until_us)::BIGINT,
        'saved_usd': cache.saved_usd + CASE WHEN r.time_us < cache.until_us THEN coalesce(r.cost_usd, 0) ELSE 0 END,
        'unknown': cache.unknown + (r.time_us < cache.until_us AND r.cost_usd IS NULL)::BIGINT
      },
      {
        'time_us': 0::BIGINT, 'ready_us': 0::BIGINT, 'answered': false, 'cost_usd': 0::DECIMAL(38, 18),
        'until_us': 0::BIGINT, 'hits': 0::BIGINT, 'saved_usd': 0::DECIMAL(38, 18), 'unknown': 0::BIGINT
      }
    ) AS cache
  FROM keys, (SELECT unnest($ttls_s::BIGINT[]) AS ttl_s)
)
SELECT
  ttl_s,
  sum(cache.hits)::BIGINT AS hits,
  sum(cache.saved_usd) AS saved_usd,
  sum(cache.unknown)::BIGINT AS unknown_cost
FROM played
GROUP BY ttl_s
ORDER BY ttl_s
