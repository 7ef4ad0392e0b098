"""Executors: where trials are done."""
