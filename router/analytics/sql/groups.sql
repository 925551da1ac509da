-- Figures of requests: of all of them, by model, by day, and by the groups that a report asks for. The cells of one scan
-- are added up to each of these; `grouped` tells which a row is of. Tokens are those of answers that a provider gave, since
-- a hit costs none; a class of tokens that an answer's usage leaves out is 0.
WITH scope AS NOT MATERIALIZED ({scope}),
requests AS (
  SELECT
    model,
    epoch_us(time) // 86400000000 AS day,
    coalesce(ending IN ('answer', 'recorded'), model IS NOT NULL) AS answered,
    cache <> 'none' AS stored,
    cost_usd,
    waste_usd,
    CASE WHEN cost_usd IS NOT NULL THEN waste_usd END AS known_waste_usd,
    saved_usd,
    CASE WHEN cost_usd IS NOT NULL THEN baseline_usd END AS baseline_usd,
    CASE WHEN baseline_usd IS NOT NULL THEN cost_usd END AS compared_usd,
    input_tokens,
    output_tokens,
    cached_input_tokens,
    cache_write_tokens,
    reasoning_tokens
    {by}
  FROM scope
),
cells AS (
  SELECT
    {columns},
    stored,
    answered,
    count(*) AS requests,
    sum(cost_usd) AS cost_usd,
    count(cost_usd) AS priced,
    sum(waste_usd) AS waste_usd,
    sum(known_waste_usd) AS known_waste_usd,
    sum(saved_usd) AS saved_usd,
    sum(baseline_usd) AS baseline_usd,
    sum(compared_usd) AS compared_usd,
    count(compared_usd) AS compared,
    sum(input_tokens) AS input_tokens,
    count(input_tokens) AS counted,
    sum(output_tokens) AS output_tokens,
    coalesce(sum(cached_input_tokens), 0) AS cached_input_tokens,
    coalesce(sum(cache_write_tokens), 0) AS cache_write_tokens,
    coalesce(sum(reasoning_tokens), 0) AS reasoning_tokens
  FROM requests
  GROUP BY ALL
)
SELECT
  {columns},
  grouping({columns}) AS grouped,
  coalesce(sum(requests), 0)::BIGINT AS requests,
  coalesce(sum(requests) FILTER (WHERE answered), 0)::BIGINT AS answered,
  coalesce(sum(requests) FILTER (WHERE stored), 0)::BIGINT AS hits,
  coalesce(sum(requests) FILTER (WHERE stored AND answered), 0)::BIGINT AS stored_answers,
  sum(cost_usd) AS cost_usd,
  coalesce(sum(requests - priced), 0)::BIGINT AS unknown_cost,
  sum(waste_usd) AS waste_usd,
  sum(saved_usd) FILTER (WHERE stored) AS saved_usd,
  sum(known_waste_usd) AS known_waste_usd,
  sum(baseline_usd) AS baseline_usd,
  sum(compared_usd) AS compared_usd,
  coalesce(sum(compared), 0)::BIGINT AS compared,
  sum(input_tokens) FILTER (WHERE NOT stored)::BIGINT AS input_tokens,
  coalesce(sum(counted) FILTER (WHERE NOT stored), 0)::BIGINT AS counted,
  sum(output_tokens) FILTER (WHERE NOT stored)::BIGINT AS output_tokens,
  sum(cached_input_tokens) FILTER (WHERE NOT stored AND counted > 0)::BIGINT AS cached_input_tokens,
  sum(cache_write_tokens) FILTER (WHERE NOT stored AND counted > 0)::BIGINT AS cache_write_tokens,
  sum(reasoning_tokens) FILTER (WHERE NOT stored AND counted > 0)::BIGINT AS reasoning_tokens,
  sum(input_tokens) FILTER (WHERE stored)::BIGINT AS stored_input_tokens,
  sum(output_tokens) FILTER (WHERE stored)::BIGINT AS stored_output_tokens
FROM cells
GROUP BY GROUPING SETS ({sets})
ORDER BY ALL
