-- How requests ended, and where the answers that no provider gave came from: the two apart, in one scan.
WITH scope AS NOT MATERIALIZED ({scope})
SELECT
  grouping(ending) = 0 AS of_endings,
  ending,
  cache,
  count(*) AS requests,
  sum(cost_usd) AS cost_usd,
  count(*) FILTER (WHERE cost_usd IS NULL) AS unknown_cost,
  sum(saved_usd) AS saved_usd,
  count(*) FILTER (WHERE saved_usd IS NULL) AS unknown_saved
FROM scope
GROUP BY GROUPING SETS ((ending), (cache))
ORDER BY requests DESC, ending, cache
