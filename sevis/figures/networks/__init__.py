"""Figures of architectures, costs, training and ablations."""
