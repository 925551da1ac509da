-- The table `context` without its dollars: input that repeats the previous request of the same session, up to the largest
-- mark that both have, and input that any earlier request began with; by model and of all. Repeated tokens are the
-- request's input tokens by its bytes, rounded down; a log that says itself what was repeated is taken at its word.
WITH
requests AS (
  SELECT
    model,
    model_id,
    session,
    time,
    time_us,
    assumeNotNull(d.input_tokens) AS input_tokens,
    coalesce(d.cached_input_tokens, 0) AS cached_tokens,
    repeated_previous_tokens AS told_previous,
    repeated_any_tokens AS told_any,
    arrayMap(m -> (coalesce(m.1, 0), coalesce(m.2, 0)), d.prefix) AS marks,
    length(marks) > 0 AND time IS NOT NULL AND told_previous IS NULL AND told_any IS NULL AS marked
  FROM decisions AS d
  WHERE NOT stored AND model IS NOT NULL AND d.input_tokens IS NOT NULL
),
in_sessions AS (
  SELECT
    model,
    model_id,
    input_tokens,
    marks,
    lagInFrame(marks) OVER (PARTITION BY session ORDER BY time ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS previous
  FROM requests
  WHERE marked AND session IS NOT NULL
),
marked AS (
  SELECT
    model,
    model_id,
    input_tokens,
    time_us,
    marks[-1].2 AS whole,
    arrayJoin(arrayZip(marks, arrayPushFront(arrayPopBack(marks.2), 0))) AS mark
  FROM requests
  WHERE marked
),
beginnings AS (
  SELECT mark.1.1 AS digest, min(time_us) AS first_us FROM marked GROUP BY digest HAVING count() > 1
),
parts AS (
  SELECT
    model,
    model_id,
    1 AS requests,
    input_tokens,
    cached_tokens,
    if(told_previous IS NOT NULL OR (marked AND session IS NOT NULL), input_tokens, 0) AS previous_input,
    coalesce(told_previous, 0) AS previous_tokens,
    if(told_any IS NOT NULL OR marked, input_tokens, 0) AS any_input,
    coalesce(told_any, 0) AS any_tokens
  FROM requests
  UNION ALL
  SELECT
    model, model_id, 0, 0, 0, 0,
    intDiv(input_tokens * arrayMax(m -> m.2, arrayPushFront(arrayFilter(m -> has(previous, m), marks), (0, 0))), marks[-1].2),
    0, 0
  FROM in_sessions
  UNION ALL
  SELECT
    model, model_id, 0, 0, 0, 0, 0, 0,
    intDiv(input_tokens * mark.1.2, whole) - intDiv(input_tokens * mark.2, whole)
  FROM marked
  INNER JOIN beginnings ON mark.1.1 = beginnings.digest
  WHERE time_us > first_us
)
SELECT
  if(grouping(model) = 1, 'all models', model) AS model,
  model_id,
  sum(p.requests) AS requests,
  sum(p.input_tokens) AS input_tokens,
  sum(p.cached_tokens) AS cached_tokens,
  if(sum(p.previous_input) = 0, NULL, sum(p.previous_tokens)) AS previous_tokens,
  sum(p.previous_tokens) / nullIf(sum(p.previous_input), 0) AS previous_share,
  if(sum(p.any_input) = 0, NULL, sum(p.any_tokens)) AS any_tokens,
  sum(p.any_tokens) / nullIf(sum(p.any_input), 0) AS any_share
FROM parts AS p
GROUP BY GROUPING SETS ((), (model, model_id))
HAVING count() > 0
ORDER BY sum(p.any_tokens) DESC, model, model_id
SETTINGS prefer_column_name_to_alias = 1, group_by_use_nulls = 1
