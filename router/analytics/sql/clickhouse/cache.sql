-- The table `cache`: where the answers came from that no provider gave, and what they saved.
SELECT
  cache,
  countIf(stored) AS requests,
  count() / any(of_all) AS share,
  sum(d.saved_usd) AS saved_usd,
  countIf(d.saved_usd IS NULL) AS unknown_saved
FROM (SELECT cache, stored, saved_usd, count() OVER () AS of_all FROM decisions) AS d
WHERE stored
GROUP BY cache
ORDER BY requests DESC, cache
