-- What of a decision the estimate needs. {limits} are the tiers' limits in ascending order, {uncounted} the needs whose
-- tokens every provider counts in its own way. A request is in the tier that the policy token_tiers would put it in.
CREATE OR REPLACE TEMP VIEW savings_requests AS
SELECT
  trace_id,
  model,
  model_id,
  list_filter({limits}, lambda x: x >= coalesce(input_tokens_measured, input_tokens))[1] AS up_to_tokens,
  answer_usd,
  -- Where further attempts are of unknown cost, so is the whole.
  coalesce(cost_usd, CASE WHEN calls <= 1 THEN answer_usd END) AS spent_usd,
  input_tokens,
  output_tokens,
  least(coalesce(cache_write_tokens, 0), input_tokens) AS written_tokens,
  least(coalesce(cached_input_tokens, 0), input_tokens - written_tokens) AS cached_tokens,
  least(coalesce(reasoning_tokens, 0), output_tokens) AS reasoning_tokens,
  coalesce(needs, []) AS needs,
  service_tier,
  asked_quality,
  output_tokens_most,
  coalesce(input_tokens_most, input_tokens) AS window_input_tokens,
  coalesce(expected_output_tokens, output_tokens) AS expected_output_tokens,
  CASE
    WHEN ending = 'recorded' THEN 'was made outside the router'
    WHEN cost_usd IS NULL AND calls > 1 THEN 'cost unknown'
    WHEN cache <> 'none' THEN 'came out of the cache'
    WHEN model IS NULL OR ending <> 'answer' THEN 'had no answer'
    WHEN input_tokens IS NULL OR output_tokens IS NULL THEN 'tokens unknown'
    WHEN asked_model IS NOT NULL THEN 'names its model'
    WHEN list_has_any(coalesce(needs, []), {uncounted}) THEN 'has media or searches, which each provider counts its own way'
    WHEN coalesce(input_tokens_measured, input_tokens) > {limits}[-1] THEN 'above the tiers'
  END AS stays
FROM decisions
