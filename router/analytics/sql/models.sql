-- Every model that answered, under the names and ids that it had.
WITH scope AS NOT MATERIALIZED ({scope})
SELECT DISTINCT model, model_id
FROM scope
WHERE cache = 'none' AND model IS NOT NULL
ORDER BY model, model_id
