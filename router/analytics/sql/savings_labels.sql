-- Per tier and target: traces that the target answered and somebody labelled, and those that nobody called inadequate.
SELECT
  r.up_to_tokens,
  t.name AS target,
  count(DISTINCT r.trace_id) AS labelled,
  count(DISTINCT r.trace_id) FILTER (WHERE v.adequate) AS adequate
FROM savings_requests r
JOIN (
  SELECT trace_id, bool_and(adequate) AS adequate FROM labels WHERE adequate IS NOT NULL GROUP BY trace_id
) v USING (trace_id)
JOIN savings_targets t ON coalesce(r.model_id = t.id, r.model = t.name)
WHERE r.up_to_tokens IS NOT NULL
GROUP BY ALL
