-- The table `failures`: failed calls by model and class. A model's calls are its failed ones and its answers.
SELECT
  f.model AS model,
  f.class AS class,
  f.class_calls AS count,
  f.class_calls / f.all_calls AS share,
  f.class_calls / (f.model_calls + answers.calls) AS failed_share,
  f.class_usd AS cost_usd,
  f.class_unknown AS unknown_cost,
  f.error AS error
FROM failed_calls AS f
LEFT JOIN (SELECT model, countIf(answered AND NOT stored) AS calls FROM decisions GROUP BY model) AS answers
  ON f.model IS NOT DISTINCT FROM answers.model
WHERE f.place = 1
ORDER BY count DESC, model, class
SETTINGS join_use_nulls = 0
