"""Policies that ship with lowfare: one file, one policy, one frozen dataclass."""
