"""JavaScript of callers, run once for each recipient in processes that can do nothing else."""
