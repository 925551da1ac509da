-- The requests that wasted most.
WITH scope AS NOT MATERIALIZED ({scope})
SELECT trace_id, epoch_us(time) AS time_us, model, ending, calls, cost_usd, waste_usd
FROM scope
WHERE waste_usd > 0
ORDER BY waste_usd DESC, trace_id, request_id
LIMIT 10
