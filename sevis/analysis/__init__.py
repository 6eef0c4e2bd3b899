"""Numbers read off class statistics and audits: measures, intervals, statements, comparisons; arrays only, no torch."""
