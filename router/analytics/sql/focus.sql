-- What each day cost at which model, by provider, policy and tenant: each attempt where it was made, and what a record's
-- cost is more than that of its attempts at the model that answered, so that all add up to the cost of the requests.
WITH scope AS NOT MATERIALIZED ({scope}),
requests AS (
  SELECT
    epoch_us(time) // 86400000000 AS day,
    policy,
    tenant,
    model,
    model_id,
    provider,
    attempts,
    cost_usd,
    cost_usd - coalesce(list_sum(list_transform(attempts, lambda a: coalesce(a.cost_usd, 0))), 0) AS rest_usd
  FROM scope
),
attempted AS (
  SELECT day, policy, tenant, unnest(attempts) AS a FROM requests WHERE cost_usd IS NOT NULL
),
charges AS (
  SELECT
    day,
    a.provider AS provider,
    a.model AS model,
    a.model_id AS model_id,
    policy,
    tenant,
    (a.held IS NULL)::INTEGER AS calls,
    coalesce(a.cost_usd, 0) AS cost_usd,
    CASE WHEN a.billing = 'estimated' THEN a.cost_usd ELSE 0 END AS estimated_usd,
    coalesce(a.usage.input_tokens, 0) AS input_tokens,
    coalesce(a.usage.output_tokens, 0) AS output_tokens,
    0 AS unknown_cost
  FROM attempted
  UNION ALL
  SELECT day, provider, model, model_id, policy, tenant, 0, rest_usd, 0, 0, 0, 0
  FROM requests
  WHERE rest_usd <> 0
  UNION ALL
  SELECT day, provider, model, model_id, policy, tenant, 0, 0, 0, 0, 0, 1
  FROM requests
  WHERE cost_usd IS NULL
)
SELECT
  day,
  provider,
  model,
  model_id,
  policy,
  tenant,
  sum(calls)::BIGINT AS calls,
  sum(cost_usd)::DECIMAL(38, 18) AS cost_usd,
  sum(estimated_usd)::DECIMAL(38, 18) AS estimated_usd,
  sum(input_tokens)::BIGINT AS input_tokens,
  sum(output_tokens)::BIGINT AS output_tokens,
  sum(unknown_cost)::BIGINT AS unknown_cost
FROM charges
GROUP BY ALL
ORDER BY ALL
