"""Batches: many pairs of source and driver, each run once, in worker processes."""
