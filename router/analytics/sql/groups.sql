-- Figures of requests: of all of them, by model, by day, and by the groups that a report asks for, in one scan.
-- `grouped` tells which of these a row is of. Tokens are those of answers that a provider gave: a hit costs none. A class of tokens that
-- an answer's usage leaves out is 0.
WITH scope AS NOT MATERIALIZED ({scope}),
requests AS (
  SELECT
    model,
    epoch_us(time) // 86400000000 AS day,
    coalesce(ending = 'answer', model IS NOT NULL) AS answered,
    cache <> 'none' AS stored,
    cost_usd,
    waste_usd,
    saved_usd,
    CASE WHEN cost_usd IS NOT NULL THEN baseline_usd END AS baseline_usd,
    CASE WHEN baseline_usd IS NOT NULL THEN cost_usd END AS compared_usd,
    latency_s,
    CASE WHEN cache = 'none' THEN input_tokens END AS input_tokens,
    CASE WHEN cache = 'none' THEN output_tokens END AS output_tokens,
    CASE WHEN cache = 'none' AND input_tokens IS NOT NULL THEN coalesce(cached_input_tokens, 0) END AS cached_input_tokens,
    CASE WHEN cache = 'none' AND input_tokens IS NOT NULL THEN coalesce(cache_write_tokens, 0) END AS cache_write_tokens,
    CASE WHEN cache = 'none' AND input_tokens IS NOT NULL THEN coalesce(reasoning_tokens, 0) END AS reasoning_tokens,
    input_tokens AS stored_input_tokens,
    output_tokens AS stored_output_tokens
    {by}
  FROM scope
)
SELECT
  {columns},
  grouping({columns}) AS grouped,
  count(*) AS requests,
  count(*) FILTER (answered) AS answered,
  count(*) FILTER (stored) AS hits,
  count(*) FILTER (stored AND answered) AS stored_answers,
  sum(cost_usd) AS cost_usd,
  count(*) FILTER (cost_usd IS NULL) AS unknown_cost,
  sum(waste_usd) AS waste_usd,
  count(*) FILTER (waste_usd IS NULL) AS unknown_waste,
  sum(saved_usd) FILTER (stored) AS saved_usd,
  count(*) FILTER (stored AND saved_usd IS NULL) AS unknown_saved,
  sum(baseline_usd) AS baseline_usd,
  sum(compared_usd) AS compared_usd,
  count(compared_usd) AS compared,
  sum(input_tokens)::BIGINT AS input_tokens,
  count(input_tokens) AS counted,
  sum(output_tokens)::BIGINT AS output_tokens,
  sum(cached_input_tokens)::BIGINT AS cached_input_tokens,
  sum(cache_write_tokens)::BIGINT AS cache_write_tokens,
  sum(reasoning_tokens)::BIGINT AS reasoning_tokens,
  sum(stored_input_tokens) FILTER (stored)::BIGINT AS stored_input_tokens,
  sum(stored_output_tokens) FILTER (stored)::BIGINT AS stored_output_tokens
FROM requests
GROUP BY GROUPING SETS ({sets})
ORDER BY ALL
