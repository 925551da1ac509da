"""`lowfare`, the command."""
