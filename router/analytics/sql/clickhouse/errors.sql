-- The table `errors`: the three commonest errors of each model and class.
SELECT model, class, calls AS count, calls / class_calls AS share, error
FROM failed_calls
WHERE place <= 3 AND error IS NOT NULL
ORDER BY class_calls DESC, model, class, place
