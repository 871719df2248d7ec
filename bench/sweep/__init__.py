"""One sweep over many tasks, measured: time, processor time, memory and calls, and a cost model for more."""
