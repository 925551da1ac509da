"""One attempt at a provider, no retries."""
