-- Input of providers' answers by model, and by how many of `$steps` it is larger than: all of it; that of requests whose
-- beginnings are known, and of those in sessions; and what a log itself says was sent before, where it says so.
WITH scope AS NOT MATERIALIZED ({scope}),
requests AS (
  SELECT
    hash(model, model_id) AS of_model,
    input_tokens,
    coalesce(cached_input_tokens, 0) AS cached_tokens,
    repeated_previous_tokens AS previous_tokens,
    repeated_any_tokens AS any_tokens,
    coalesce(prefix_bytes > 0, false) AND time IS NOT NULL
      AND repeated_previous_tokens IS NULL AND repeated_any_tokens IS NULL AS marked,
    session IS NOT NULL AS in_session
  FROM scope
  WHERE cache = 'none' AND model IS NOT NULL AND input_tokens IS NOT NULL
)
SELECT
  of_model,
  {step} AS step,
  count(*) AS requests,
  sum(input_tokens)::BIGINT AS input_tokens,
  sum(cached_tokens)::BIGINT AS cached_tokens,
  coalesce(sum(input_tokens) FILTER (WHERE previous_tokens IS NOT NULL OR marked AND in_session), 0)::BIGINT
    AS previous_input_tokens,
  coalesce(sum(input_tokens) FILTER (WHERE any_tokens IS NOT NULL OR marked), 0)::BIGINT AS any_input_tokens,
  coalesce(sum(previous_tokens), 0)::BIGINT AS previous_tokens,
  coalesce(sum(greatest(previous_tokens - cached_tokens, 0)), 0)::BIGINT AS previous_uncached_tokens,
  coalesce(sum(any_tokens), 0)::BIGINT AS any_tokens,
  coalesce(sum(greatest(any_tokens - cached_tokens, 0)), 0)::BIGINT AS any_uncached_tokens
FROM requests
GROUP BY ALL
ORDER BY ALL
