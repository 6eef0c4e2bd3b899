"""The page Two photos."""
