"""The command line: sweeps of one's own clouds from one's own machine, and the hand on a deployed stack."""
