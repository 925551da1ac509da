-- The table `windows`: input tokens by the model's context window.
SELECT
  model,
  count() AS requests,
  max(d.window_tokens) AS window_tokens,
  avg(d.input_tokens / d.window_tokens) AS window_mean_share,
  arrayElementOrNull(
    arraySort(groupArray(d.input_tokens / d.window_tokens)) AS shares, intDiv(95 * length(shares) + 99, 100)
  ) AS window_p95_share,
  max(d.input_tokens / d.window_tokens) AS window_most_share
FROM decisions AS d
WHERE NOT stored AND model IS NOT NULL AND output_tokens IS NOT NULL AND d.input_tokens IS NOT NULL AND d.window_tokens > 0
GROUP BY model
ORDER BY requests DESC, model
