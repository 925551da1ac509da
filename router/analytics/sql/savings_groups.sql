-- Requests that are alike in all that a price depends on, for every model that they might go to: within a group the
-- cost is linear in the tokens. `above_tokens` is the edge of the target's context tier, `own_above_tokens` that of the
-- model which answered, asked only where the log does not know the cost.
SELECT
  r.up_to_tokens,
  r.model,
  r.model_id,
  t.name AS target,
  CASE
    WHEN r.stays IS NOT NULL THEN r.stays
    WHEN coalesce(r.model_id = t.id, r.model = t.name) THEN 'is there already'
    WHEN NOT list_has_all(t.capabilities, r.needs) THEN 'needs what the model lacks'
    WHEN r.asked_quality > coalesce(t.quality, -1) THEN 'asks for more quality'
    WHEN r.output_tokens_most > t.max_output_tokens THEN 'asks for longer answers'
    WHEN r.window_input_tokens
      + coalesce(r.output_tokens_most, least(r.expected_output_tokens, t.max_output_tokens), r.expected_output_tokens)
      > t.window_tokens THEN 'may not fit the window'
  END AS stays,
  r.service_tier,
  coalesce(list_max(list_filter(t.edges, lambda x: r.input_tokens > x)), 0) AS above_tokens,
  CASE WHEN r.answer_usd IS NULL OR r.spent_usd IS NULL
    THEN coalesce(list_max(list_filter(o.edges, lambda x: r.input_tokens > x)), 0)
  END AS own_above_tokens,
  r.spent_usd IS NULL AS spend_unknown,
  count(*) AS requests,
  sum(r.spent_usd) AS spent_usd,
  sum(r.answer_usd) AS answer_usd,
  sum(r.input_tokens) AS input_tokens,
  sum(r.output_tokens) AS output_tokens,
  sum(r.written_tokens) AS written_tokens,
  sum(r.cached_tokens) AS cached_tokens,
  sum(r.reasoning_tokens) AS reasoning_tokens
FROM savings_requests r
CROSS JOIN savings_targets t
LEFT JOIN savings_own o ON o.model = r.model AND o.model_id IS NOT DISTINCT FROM r.model_id
GROUP BY ALL
ORDER BY ALL
