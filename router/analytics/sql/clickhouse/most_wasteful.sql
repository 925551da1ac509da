-- The table `most_wasteful`: the requests that wasted most.
SELECT trace_id, time, model, ending, calls, cost_usd, waste_usd
FROM decisions
WHERE waste_usd > 0
ORDER BY waste_usd DESC, trace_id, request_id
LIMIT 10
