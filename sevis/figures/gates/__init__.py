"""Figures of the gates of one photo, or of two."""
