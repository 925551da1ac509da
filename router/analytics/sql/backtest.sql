-- Every decision's line, with what its labels say.
SELECT d.record, v.adequate, v.score
FROM decisions AS d
LEFT JOIN verdicts AS v USING (trace_id)
{order}
