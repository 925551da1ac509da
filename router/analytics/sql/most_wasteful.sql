-- The requests that wasted most. How much the tenth wasted is found first, so that little is read of all others.
WITH scope AS NOT MATERIALIZED ({scope}),
most AS (SELECT min(waste_usd) AS least_usd FROM (
  SELECT waste_usd FROM scope WHERE waste_usd > 0 ORDER BY waste_usd DESC LIMIT 10
))
SELECT trace_id, epoch_us(time) AS time_us, model, ending, calls, cost_usd, waste_usd
FROM scope
WHERE waste_usd > 0 AND waste_usd >= (SELECT least_usd FROM most)
ORDER BY waste_usd DESC, trace_id, request_id
LIMIT 10
