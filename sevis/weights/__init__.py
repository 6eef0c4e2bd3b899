"""From a name or a file to a ready network: its card, its weights, its classes and preprocessing."""
