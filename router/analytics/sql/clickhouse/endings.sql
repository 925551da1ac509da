-- The table `endings`: requests and cost by how they ended.
SELECT
  ending,
  count() AS requests,
  count() / sum(count()) OVER () AS share,
  sum(d.cost_usd) AS cost_usd,
  countIf(d.cost_usd IS NULL) AS unknown_cost
FROM decisions AS d
GROUP BY ending
ORDER BY requests DESC, ending
