-- Per model and source of labels: requests that the model answered, and what the source said of them.
WITH scope AS NOT MATERIALIZED ({scope}),
answered AS (
  SELECT model, trace_id FROM scope WHERE model IS NOT NULL AND coalesce(ending, 'answer') = 'answer'
),
counted AS (
  SELECT model, count(*) AS requests FROM answered GROUP BY model
)
SELECT
  a.model,
  l.source,
  any_value(c.requests) AS requests,
  count(l.adequate) AS labelled,
  count(l.adequate) / any_value(c.requests) AS labelled_share,
  count(*) FILTER (WHERE l.adequate) AS adequate,
  count(*) FILTER (WHERE l.adequate) / nullif(count(l.adequate), 0) AS adequate_share,
  count(l.score) AS scored,
  avg(l.score) AS score_mean
FROM answered a
JOIN labels l USING (trace_id)
JOIN counted c ON c.model = a.model
GROUP BY a.model, l.source
ORDER BY labelled DESC, a.model, l.source
