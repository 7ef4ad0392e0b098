"""Backproof's oracle: independent mathematics of every layer, rounding bounds, and the trial of any implementation."""

__version__ = "0.1.0"
