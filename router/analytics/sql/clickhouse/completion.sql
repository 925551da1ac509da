-- The table `completion`: output by input tokens of one answer, by model and of all.
SELECT
  if(grouping(model) = 1, 'all models', model) AS model,
  count(completion) AS requests,
  avg(completion) AS completion_mean_ratio,
  countIf(completion < 0.1) AS underused,
  countIf(completion < 0.1) / nullIf(count(completion), 0) AS underused_share,
  if(countIf(completion < 0.1) = 0, toDecimal128(0, 18), sumIf(cost_usd, completion < 0.1)) AS underused_usd,
  countIf(completion > 5) AS overused,
  countIf(completion > 5) / nullIf(count(completion), 0) AS overused_share,
  if(countIf(completion > 5) = 0, toDecimal128(0, 18), sumIf(cost_usd, completion > 5)) AS overused_usd
FROM (
  SELECT model, cost_usd, output_tokens / nullIf(input_tokens, 0) AS completion
  FROM decisions
  WHERE NOT stored AND model IS NOT NULL AND input_tokens IS NOT NULL AND output_tokens IS NOT NULL
)
GROUP BY GROUPING SETS ((), (model))
HAVING count() > 0
ORDER BY requests DESC, model
SETTINGS prefer_column_name_to_alias = 1
