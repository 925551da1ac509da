-- How long answers of providers took, by model and by the groups that a report asks for.
WITH scope AS NOT MATERIALIZED ({scope}),
answers AS (
  SELECT model, latency_s {by}
  FROM scope
  WHERE coalesce(ending = 'answer', model IS NOT NULL) AND cache = 'none' AND latency_s IS NOT NULL
)
SELECT
  {columns},
  grouping({columns}) AS grouped,
  avg(latency_s) AS mean_s,
  quantile_disc(latency_s, [0.5, 0.95, 0.99]) AS percentiles_s
FROM answers
GROUP BY GROUPING SETS ({sets})
