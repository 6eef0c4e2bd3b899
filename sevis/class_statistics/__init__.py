"""What the gates did over a data set, class by class: collected, merged, saved, read, exported; arrays only, no torch."""

from sevis.class_statistics.class_statistics import ClassStatistics
from sevis.class_statistics.moments import QUANTITIES
from sevis.class_statistics.tables import export

__all__ = ["QUANTITIES", "ClassStatistics", "export"]
