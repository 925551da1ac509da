"""Answers that were paid for once: kept, shared among requests in flight, and found again by content key."""
