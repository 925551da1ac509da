-- Every model that answered, under the names and ids that it had, and a hash of both.
WITH scope AS NOT MATERIALIZED ({scope})
SELECT DISTINCT model, model_id, hash(model, model_id) AS of_model
FROM scope
WHERE cache = 'none' AND model IS NOT NULL
ORDER BY model, model_id
