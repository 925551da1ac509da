"""lowfare: a cost-aware model router."""
