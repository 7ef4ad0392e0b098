"""A whole run: its options, its store, its executors."""
