"""Alerts on their way: from whoever raises one, through the outbox, to whoever is to be told."""
