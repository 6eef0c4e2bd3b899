"""The ablations of the paper's section 6: the grid of variants, their runs, and whether the order is the paper's."""
