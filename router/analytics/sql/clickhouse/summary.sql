-- The table `summary`: what was asked, what it cost, how long it took; the baseline is what each record compared with.
SELECT
  count() AS requests,
  countIf(answered) / nullIf(count(), 0) AS success_share,
  sum(d.cost_usd) AS cost_usd,
  countIf(d.cost_usd IS NULL) AS unknown_cost,
  sumIf(d.baseline_usd, d.cost_usd IS NOT NULL) AS baseline_usd,
  sumIf(d.baseline_usd - d.cost_usd, d.cost_usd IS NOT NULL) AS saved_usd,
  sum(d.waste_usd) AS waste_usd,
  toFloat64(sumIf(d.waste_usd, d.cost_usd IS NOT NULL)) / nullIf(toFloat64(sum(d.cost_usd)), 0) AS waste_share,
  sumIf(d.input_tokens, NOT stored) AS input_tokens,
  sumIf(d.output_tokens, NOT stored) AS output_tokens,
  arrayElementOrNull(
    arraySort(groupArrayIf(d.latency_s, answered)) AS timed_s, intDiv(95 * length(timed_s) + 99, 100)
  ) AS latency_p95_s,
  countIf(stored) AS cache_hits,
  if(countIf(stored) = 0, toDecimal128(0, 18), sumIf(d.saved_usd, stored)) AS cache_saved_usd
FROM decisions AS d
