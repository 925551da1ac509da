-- Per tier and target: traces that the target answered and somebody labelled, and those whose verdict is adequate.
SELECT
  r.up_to_tokens,
  t.name AS target,
  count(DISTINCT r.trace_id) AS labelled,
  count(DISTINCT r.trace_id) FILTER (WHERE v.adequate) AS adequate
FROM savings_requests r
JOIN verdicts v USING (trace_id)
JOIN savings_targets t ON coalesce(r.model_id = t.id, r.model = t.name)
WHERE r.up_to_tokens IS NOT NULL AND v.adequate IS NOT NULL
GROUP BY ALL
