"""The page What if?."""
