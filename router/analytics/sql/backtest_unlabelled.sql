-- Every decision's line, of a log without labels.
SELECT record, NULL::BOOLEAN AS adequate, NULL::DOUBLE AS score
FROM decisions
{order}
