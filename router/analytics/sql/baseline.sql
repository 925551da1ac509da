-- Tokens of all answers of known cost, stored ones included, by how many of `$steps` their input is larger than: each
-- step of a price table has rates of its own. Parts that add up to more than their total are cut to it.
WITH scope AS NOT MATERIALIZED ({scope}),
answers AS (
  SELECT
    cost_usd,
    input_tokens,
    least(coalesce(cache_write_tokens, 0), input_tokens) AS written,
    least(coalesce(cached_input_tokens, 0), input_tokens - least(coalesce(cache_write_tokens, 0), input_tokens)) AS cached,
    output_tokens AS output,
    least(coalesce(reasoning_tokens, 0), output_tokens) AS reasoning,
    {step} AS step
  FROM scope
  WHERE cost_usd IS NOT NULL AND input_tokens IS NOT NULL AND output_tokens IS NOT NULL
)
SELECT
  step,
  count(*) AS requests,
  sum(cost_usd) AS cost_usd,
  sum(input_tokens - written - cached)::BIGINT AS input,
  sum(cached)::BIGINT AS cached_input,
  sum(written)::BIGINT AS cache_write,
  sum(output - reasoning)::BIGINT AS output,
  sum(reasoning)::BIGINT AS reasoning
FROM answers
GROUP BY step
ORDER BY step
