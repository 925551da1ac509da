"""Where prices, windows and capabilities come from: litellm's map, read as a file, and the configuration over it."""
