"""Figures of a data set's classes, drawn from class statistics."""
