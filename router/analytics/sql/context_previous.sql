-- Input that repeats the previous request of the same session, up to the largest mark that both have: its share of the
-- request's bytes, in tokens. By model and step, as in context_inputs.sql. Models stand by a hash of their names, which take
-- long to move about; models.sql has both.
WITH scope AS NOT MATERIALIZED ({scope}),
requests AS (
  SELECT
    hash(model, model_id) AS of_model,
    input_tokens,
    coalesce(cached_input_tokens, 0) AS cached_tokens,
    prefix,
    prefix_bytes,
    lag(prefix) OVER (PARTITION BY session ORDER BY time) AS previous
  FROM scope
  WHERE session IS NOT NULL AND cache = 'none' AND model IS NOT NULL AND input_tokens IS NOT NULL
    AND prefix_bytes > 0 AND time IS NOT NULL AND repeated_previous_tokens IS NULL AND repeated_any_tokens IS NULL
),
shared AS (
  SELECT
    of_model,
    input_tokens,
    cached_tokens,
    input_tokens * CASE
      -- A conversation that goes on has all that the previous request had, which is quickly seen.
      WHEN list_contains(prefix, previous[-1]) THEN previous[-1].size
      ELSE coalesce(list_max(list_transform(
        list_filter(prefix, lambda mark: list_contains(previous, mark)), lambda mark: mark.size)), 0)
    END // prefix_bytes AS repeated_tokens
  FROM requests
  WHERE previous IS NOT NULL
)
SELECT
  of_model,
  {step} AS step,
  sum(repeated_tokens)::BIGINT AS previous_tokens,
  sum(greatest(repeated_tokens - cached_tokens, 0))::BIGINT AS previous_uncached_tokens
FROM shared
GROUP BY ALL
ORDER BY ALL
