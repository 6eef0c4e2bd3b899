"""What several pages share: the choosers, the networks and answers that all visitors share, how a figure is shown."""
