"""What the gates did over a data set, class by class: collected, merged, saved, read, exported; arrays only, no torch."""
