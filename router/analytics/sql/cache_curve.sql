-- How many requests a cache would have answered that keeps each answer for `ttl_s`, for each of `$ttls_s`: an answer is
-- stored when it comes, it is found for so long and no longer, a hit does not prolong that, and an equal request that comes
-- while the answer is under way shares it. Most keys need no more than the first and the last of their times: all or none
-- of their repeats are hits. Where it is some, the key's requests are gone through in order.
WITH keys AS (
  SELECT
    list(
      -- The same fields as the cache that goes through them, so that a request can be what it begins as.
      {
        'time_us': time_us, 'until_us': ready_us, 'answered': answered, 'usd': cost_usd,
        'hits': 0::BIGINT, 'unknown': 0::BIGINT
      }
      ORDER BY time_us, ready_us, answered, cost_usd NULLS LAST, stored
    ) AS requests,
    bool_and(answered) AS answered,
    count(*) - 1 AS repeats,
    sum(cost_usd) AS usd,
    count(*) FILTER (cost_usd IS NULL) AS unknown,
    max(time_us) AS last_us
  FROM repeated
  GROUP BY digest
),
played AS (
  SELECT
    ttl_s,
    CASE
      WHEN answered AND last_us < requests[1].until_us + ttl_s * 1000000 THEN {
        'time_us': 0::BIGINT, 'until_us': 0::BIGINT, 'answered': true,
        'usd': (coalesce(usd, 0) - coalesce(requests[1].usd, 0))::DECIMAL(38, 18),
        'hits': repeats,
        'unknown': unknown - (requests[1].usd IS NULL)::BIGINT
      }
      WHEN answered AND repeats = 1 THEN NULL
      ELSE list_reduce(
        requests,
        lambda cache, r: {
          'time_us': r.time_us,
          'until_us': CASE
            WHEN r.time_us < cache.until_us OR NOT r.answered THEN cache.until_us
            ELSE r.until_us + ttl_s * 1000000
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
      )
    END AS cache
  FROM keys, (SELECT unnest($ttls_s::BIGINT[]) AS ttl_s)
)
SELECT
  ttl_s,
  coalesce(sum(cache.hits), 0)::BIGINT AS hits,
  coalesce(sum(cache.usd), 0)::DECIMAL(38, 18) AS saved_usd,
  coalesce(sum(cache.unknown), 0)::BIGINT AS unknown_cost
FROM played
GROUP BY ttl_s
ORDER BY ttl_s
