-- How long answers took: of all, and of those from providers and from the cache apart. Percentiles are nearest rank: the
-- smallest value that at least so many of all are not above.
WITH scope AS NOT MATERIALIZED ({scope}),
answers AS (
  SELECT latency_s, first_token_s, cache = 'none' AS provided
  FROM scope
  WHERE coalesce(ending = 'answer', model IS NOT NULL)
)
SELECT
  count(*) FILTER (WHERE provided) AS provided,
  count(*) FILTER (WHERE NOT provided) AS stored,
  count(latency_s) AS timed,
  avg(latency_s) AS mean_s,
  quantile_disc(latency_s, [0.5, 0.95, 0.99]) AS percentiles_s,
  count(latency_s) FILTER (WHERE provided) AS provided_timed,
  avg(latency_s) FILTER (WHERE provided) AS provided_mean_s,
  quantile_disc(latency_s, [0.5, 0.95, 0.99]) FILTER (WHERE provided) AS provided_percentiles_s,
  count(latency_s) FILTER (WHERE NOT provided) AS stored_timed,
  avg(latency_s) FILTER (WHERE NOT provided) AS stored_mean_s,
  quantile_disc(latency_s, [0.5, 0.95, 0.99]) FILTER (WHERE NOT provided) AS stored_percentiles_s,
  count(first_token_s) AS first_timed,
  avg(first_token_s) AS first_mean_s,
  quantile_disc(first_token_s, [0.5, 0.95, 0.99]) AS first_percentiles_s
FROM answers
