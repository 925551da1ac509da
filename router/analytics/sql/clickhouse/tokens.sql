-- The table `tokens`: of answers that providers gave, and of those out of the cache. A class that a usage leaves out is 0.
SELECT
  sumIf(d.input_tokens, NOT stored) AS input_tokens,
  sumOrNullIf(coalesce(d.cached_input_tokens, 0), NOT stored AND d.input_tokens IS NOT NULL) AS cached_input_tokens,
  sumOrNullIf(coalesce(d.cache_write_tokens, 0), NOT stored AND d.input_tokens IS NOT NULL) AS cache_write_tokens,
  sumIf(d.output_tokens, NOT stored) AS output_tokens,
  sumOrNullIf(coalesce(d.reasoning_tokens, 0), NOT stored AND d.input_tokens IS NOT NULL) AS reasoning_tokens,
  sumIf(d.input_tokens, stored) AS stored_input_tokens,
  sumIf(d.output_tokens, stored) AS stored_output_tokens
FROM decisions AS d
