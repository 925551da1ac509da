-- Input that any earlier request began with. Each stretch between two marks counts if its end is a beginning that was sent
-- before: since marks follow each other, that is all up to the largest such mark. By model and step.
WITH scope AS NOT MATERIALIZED ({scope}),
requests AS (
  SELECT
    hash(model, model_id) AS of_model,
    epoch_us(time) AS time_us,
    input_tokens,
    coalesce(cached_input_tokens, 0) AS cached_tokens,
    prefix_bytes AS whole,
    prefix
  FROM scope
  WHERE cache = 'none' AND model IS NOT NULL AND input_tokens IS NOT NULL
    AND prefix_bytes > 0 AND time IS NOT NULL AND repeated_previous_tokens IS NULL AND repeated_any_tokens IS NULL
),
marks AS (
  SELECT
    * EXCLUDE (prefix),
    unnest(prefix) AS mark,
    coalesce(prefix[generate_subscripts(prefix, 1) - 1].size, 0) AS before
  FROM requests
),
repeated AS (
  SELECT
    of_model,
    input_tokens,
    cached_tokens,
    input_tokens * before // whole AS from_tokens,
    input_tokens * mark.size // whole AS to_tokens
  FROM marks
  JOIN beginnings ON mark.digest = beginnings.digest AND time_us > first_us
)
SELECT
  of_model,
  {step} AS step,
  sum(to_tokens - from_tokens)::BIGINT AS any_tokens,
  sum(greatest(to_tokens - cached_tokens, 0) - greatest(from_tokens - cached_tokens, 0))::BIGINT AS any_uncached_tokens
FROM repeated
GROUP BY ALL
ORDER BY ALL
