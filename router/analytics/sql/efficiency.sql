-- How answers of providers relate to what was sent, to the window, and to what was asked for, by model.
WITH scope AS NOT MATERIALIZED ({scope}),
answers AS (
  SELECT
    model,
    cost_usd,
    input_tokens,
    output_tokens,
    window_tokens,
    CASE WHEN input_tokens > 0 THEN output_tokens / input_tokens END AS completion,
    CASE WHEN window_tokens > 0 THEN input_tokens / window_tokens END AS filled,
    CASE WHEN output_tokens_most * coalesce(choices, 1) > 0 THEN output_tokens_most * coalesce(choices, 1) END AS asked_tokens
  FROM scope
  WHERE cache = 'none' AND model IS NOT NULL AND input_tokens IS NOT NULL AND output_tokens IS NOT NULL
)
SELECT
  model,
  count(*) AS answers,
  count(completion) AS compared,
  coalesce(sum(completion), 0) AS completions,
  count(*) FILTER (WHERE completion < 0.1) AS underused,
  sum(cost_usd) FILTER (WHERE completion < 0.1) AS underused_usd,
  count(*) FILTER (WHERE completion > 5.0) AS overused,
  sum(cost_usd) FILTER (WHERE completion > 5.0) AS overused_usd,
  max(window_tokens) AS window_tokens,
  count(filled) AS fitted,
  avg(filled) AS filled_mean,
  quantile_disc(filled, 0.95) AS filled_p95,
  max(filled) AS filled_most,
  count(asked_tokens) AS limited,
  coalesce(sum(asked_tokens), 0)::BIGINT AS asked_tokens,
  coalesce(sum(output_tokens) FILTER (WHERE asked_tokens IS NOT NULL), 0)::BIGINT AS used_tokens,
  quantile_disc(output_tokens / asked_tokens, 0.95) AS used_p95,
  count(*) FILTER (WHERE output_tokens >= asked_tokens) AS at_limit
FROM answers
GROUP BY model
ORDER BY answers DESC, model
