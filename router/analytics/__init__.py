"""What the log tells: records in, tables out."""
