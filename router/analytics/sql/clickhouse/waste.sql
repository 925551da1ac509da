-- The tables `waste` and `waste_by_model`: calls that gave the caller nothing, by {by:Identifier}, which is kind or model.
WITH
  (SELECT sumIf(coalesce(input_tokens, 0) + coalesce(output_tokens, 0), NOT stored) FROM decisions) AS answered_tokens,
  (SELECT sum(cost_usd) FROM decisions) AS whole_usd
SELECT
  {by:Identifier},
  count() AS calls,
  countIf(w.cost_usd > 0) AS billed,
  sum(w.tokens) AS tokens,
  sum(w.tokens) / nullIf(answered_tokens + coalesce(sum(sum(w.tokens)) OVER (), 0), 0) AS tokens_share,
  sum(w.cost_usd) AS cost_usd,
  toFloat64(sum(w.known_usd)) / nullIf(toFloat64(whole_usd), 0) AS share,
  countIf(w.cost_usd IS NULL) AS unknown_cost
FROM wasted_calls AS w
GROUP BY {by:Identifier}
ORDER BY cost_usd DESC NULLS LAST, calls DESC
