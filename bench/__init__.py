"""Measurements of Herald against the simulator, each beside a reference taken in the same run."""
