-- The tables `by_model`, `by_day`, ...: requests by {by:Identifier}, which is day, hour, model, provider, policy, tenant,
-- or any other column. Tokens and latencies are of answers that a provider gave. Percentiles are nearest rank.
SELECT
  {by:Identifier},
  count() AS requests,
  count() / sum(count()) OVER () AS share,
  countIf(answered) / count() AS success_share,
  countIf(stored) AS cache_hits,
  if(
    sumIf(d.input_tokens, NOT stored) IS NULL AND sumIf(d.output_tokens, NOT stored) IS NULL,
    NULL,
    coalesce(sumIf(d.input_tokens, NOT stored), 0) + coalesce(sumIf(d.output_tokens, NOT stored), 0)
  ) AS tokens,
  sumIf(d.input_tokens, NOT stored) AS input_tokens,
  sumIf(d.input_tokens, NOT stored) / nullIf(countIf(d.input_tokens, NOT stored), 0) AS input_mean_tokens,
  sumIf(d.output_tokens, NOT stored) AS output_tokens,
  sumIf(d.output_tokens, NOT stored) / nullIf(countIf(d.input_tokens, NOT stored), 0) AS output_mean_tokens,
  sumOrNullIf(coalesce(d.cached_input_tokens, 0), NOT stored AND d.input_tokens IS NOT NULL) AS cached_input_tokens,
  avgIf(d.latency_s, answered AND NOT stored) AS latency_mean_s,
  arrayElementOrNull(
    arraySort(groupArrayIf(d.latency_s, answered AND NOT stored)) AS timed_s, intDiv(50 * length(timed_s) + 99, 100)
  ) AS latency_p50_s,
  arrayElementOrNull(timed_s, intDiv(95 * length(timed_s) + 99, 100)) AS latency_p95_s,
  arrayElementOrNull(timed_s, intDiv(99 * length(timed_s) + 99, 100)) AS latency_p99_s,
  sum(d.cost_usd) AS cost_usd,
  toFloat64(sum(d.cost_usd)) / nullIf(toFloat64(sum(sum(d.cost_usd)) OVER ()), 0) AS cost_share,
  countIf(d.cost_usd IS NULL) AS unknown_cost,
  sum(d.waste_usd) AS waste_usd,
  if(countIf(stored) = 0, toDecimal128(0, 18), sumIf(d.saved_usd, stored)) AS saved_usd
FROM decisions AS d
GROUP BY {by:Identifier}
ORDER BY cost_usd DESC NULLS LAST, requests DESC
