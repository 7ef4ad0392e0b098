"""The trial of one layer of one target in one dtype."""
