"""Where the numbers of class statistics come from, in one sentence."""

import numpy as np

from sevis.class_statistics.class_statistics import ClassStatistics


def describe_source(statistics: ClassStatistics) -> str:
    """Return where the numbers come from: network, weights, number of photos, data and day, as far as the file says it."""
    known = statistics.metadata
    data = " ".join(str(known[field]) for field in ("data", "split") if known.get(field)) or "an unnamed data set"
    weights = f" (weights {str(known['weights'])[:8]})" if known.get("weights") else ""
    date = f", collected on {known['date']}" if known.get("date") else ""
    some = f" (at most {known['per_class']} of each)" if known.get("per_class") else ""
    photos = f"n = {statistics.count.sum():,} photos of {np.count_nonzero(statistics.count)} classes{some}"
    return f"{known.get('model', 'A network')}{weights} over {photos}: {data}{date}."
