"""Measurements as ratios: the hub beside the barest programs that do part of its work, in one run."""
