-- Every decision's line, with what its labels say: of several sources the latest that says anything counts.
SELECT d.record, l.adequate, l.score
FROM decisions AS d
LEFT JOIN (
  SELECT
    trace_id,
    arg_max(adequate, time) FILTER (adequate IS NOT NULL) AS adequate,
    arg_max(score, time) FILTER (score IS NOT NULL) AS score
  FROM labels
  GROUP BY trace_id
) AS l ON l.trace_id = (d.record ->> '$.trace_id')
