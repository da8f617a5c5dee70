"""A year of weekly batches with planted shifts, lived through by the real commands."""
