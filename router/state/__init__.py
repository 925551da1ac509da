"""What outlives one request."""
