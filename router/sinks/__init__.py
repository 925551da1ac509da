"""Where decisions go: a durable file, a readable line."""
