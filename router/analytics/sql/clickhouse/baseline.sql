-- The table `baseline`: the cost beside what each record compared with, over requests for which both are known.
SELECT
  count() AS requests,
  sum(d.cost_usd) AS cost_usd,
  sum(d.baseline_usd) AS baseline_usd,
  sum(d.baseline_usd - d.cost_usd) AS saved_usd,
  toFloat64(sum(d.baseline_usd - d.cost_usd)) / nullIf(toFloat64(sum(d.baseline_usd)), 0) AS saved_share
FROM decisions AS d
WHERE d.cost_usd IS NOT NULL AND d.baseline_usd IS NOT NULL
