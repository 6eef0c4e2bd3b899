"""Pictures and where they lie: from a stranger's bytes to batches for a network."""
