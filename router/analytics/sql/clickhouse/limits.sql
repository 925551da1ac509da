-- The table `limits`: `max_tokens` times choices against the tokens written, by model and of all.
SELECT
  if(grouping(model) = 1, 'all models', model) AS model,
  count() AS requests,
  sum(asked) AS asked_tokens,
  sum(written) AS used_tokens,
  sum(written) / sum(asked) AS used_share,
  if(
    grouping(model) = 1,
    NULL,
    arrayElementOrNull(arraySort(groupArray(written / asked)) AS shares, intDiv(95 * length(shares) + 99, 100))
  ) AS used_p95_share,
  countIf(written >= asked) AS at_limit
FROM (
  SELECT model, output_tokens AS written, output_tokens_most * coalesce(choices, 1) AS asked
  FROM decisions
  WHERE NOT stored AND model IS NOT NULL AND input_tokens IS NOT NULL AND output_tokens IS NOT NULL AND asked > 0
)
GROUP BY GROUPING SETS ((), (model))
HAVING count() > 0
ORDER BY requests DESC, model
SETTINGS prefer_column_name_to_alias = 1
