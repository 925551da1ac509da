-- How long answers took: of all, of those from providers and from the cache apart, and by model and the report's own
-- groups. Percentiles are nearest rank: the smallest value that at least so many of all are not above.
WITH scope AS NOT MATERIALIZED ({scope}),
requests AS (
  SELECT model, latency_s, first_token_s, cache = 'none' AS provided {by}
  FROM scope
  WHERE coalesce(ending = 'answer', model IS NOT NULL)
)
SELECT
  {columns},
  grouping({columns}) AS grouped,
  count(latency_s) AS timed,
  avg(latency_s) AS mean_s,
  quantile_disc(latency_s, [0.5, 0.95, 0.99]) AS percentiles_s,
  count(first_token_s) AS first_timed,
  avg(first_token_s) AS first_mean_s,
  quantile_disc(first_token_s, [0.5, 0.95, 0.99]) AS first_percentiles_s
FROM requests
GROUP BY GROUPING SETS ({sets})
