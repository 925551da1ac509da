-- The table `latency`: how long answers took, from a request's arrival. Percentiles are nearest rank.
SELECT
  what,
  count(seconds) AS requests,
  avg(seconds) AS mean_s,
  arrayElementOrNull(arraySort(groupArray(seconds)) AS timed_s, intDiv(50 * length(timed_s) + 99, 100)) AS p50_s,
  arrayElementOrNull(timed_s, intDiv(95 * length(timed_s) + 99, 100)) AS p95_s,
  arrayElementOrNull(timed_s, intDiv(99 * length(timed_s) + 99, 100)) AS p99_s
FROM (
  SELECT arrayJoin(['the answer', 'the first token of a stream']) AS what, CAST(NULL, 'Nullable(Float64)') AS seconds
  UNION ALL
  SELECT 'the answer', latency_s FROM decisions WHERE answered
  UNION ALL
  SELECT if(stored, 'the answer, from the cache', 'the answer, by a provider'), latency_s FROM decisions WHERE answered
  UNION ALL
  SELECT 'the first token of a stream', first_token_s FROM decisions WHERE answered
)
GROUP BY what
ORDER BY what
