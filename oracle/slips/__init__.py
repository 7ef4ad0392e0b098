"""Slips: known ways to get a layer wrong."""
