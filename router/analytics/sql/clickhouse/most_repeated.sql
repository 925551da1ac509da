-- The table `most_repeated`: the ten keys whose repeats cost most, by their first 16 digits.
SELECT
  min(r.key) AS key,
  count() - 1 AS repeats,
  sumIf(r.cost_usd, place > 1) AS cost_usd,
  countIf(place > 1 AND r.cost_usd IS NULL) AS unknown_cost,
  countIf(place > 1 AND stored) AS cache_hits,
  fromUnixTimestamp64Micro(min(time_us), 'UTC') AS first,
  fromUnixTimestamp64Micro(max(time_us), 'UTC') AS last
FROM repeated AS r
GROUP BY digest
ORDER BY cost_usd DESC NULLS LAST, repeats DESC, key
LIMIT 10
