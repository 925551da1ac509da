-- The calls that gave the caller nothing, as a table for the queries that follow.
CREATE OR REPLACE TEMP TABLE wasted_calls AS
WITH scope AS NOT MATERIALIZED ({scope}),
calls AS (SELECT cost_usd IS NOT NULL AS known, unnest(wasted) AS a FROM scope WHERE len(wasted) > 0)
SELECT
  a.model AS model,
  a.outcome AS outcome,
  nullif(left(a.error, 120), '') AS error,
  a.cost_usd AS cost_usd,
  a.tokens AS tokens,
  a.followed AS followed,
  -- Whether the whole request's cost is known.
  known
FROM calls
