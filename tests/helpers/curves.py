"""Classes and blocks of the figures of curves, and their reader."""

COUNTS = {"goldfish": 7, "cliff": 5, "lion": 0, "pizza": 1}
WIDTHS = {"SE_2_1": 12, "SE_5_3": 300}


def curves(figure):
    """Return the named traces of a figure."""
    return {trace.name: trace for trace in figure.data if trace.name}
