-- The table `duplicates`: requests whose content key an earlier one had, and what they cost.
SELECT
  uniqExact(digest) AS keys,
  countIf(place > 1) AS repeats,
  countIf(place > 1) / nullIf((SELECT count() FROM decisions), 0) AS share,
  if(countIf(place > 1) = 0, toDecimal128(0, 18), sumIf(r.cost_usd, place > 1)) AS cost_usd,
  toFloat64(sumIf(r.cost_usd, place > 1)) / nullIf(toFloat64((SELECT sum(cost_usd) FROM decisions)), 0) AS cost_share,
  countIf(place > 1 AND r.cost_usd IS NULL) AS unknown_cost,
  countIf(place > 1 AND stored) AS cache_hits
FROM repeated AS r
