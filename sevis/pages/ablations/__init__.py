"""The page Ablations."""
