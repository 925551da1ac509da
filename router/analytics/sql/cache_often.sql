-- The requests of keys that came more than `$often` times, those of each key in their order.
SELECT digest, time_us, ready_us, answered, cost_usd
FROM repeated
WHERE digest IN (SELECT digest FROM repeated GROUP BY digest HAVING count(*) > $often)
ORDER BY digest, place
