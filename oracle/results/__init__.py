"""The data model of the results."""
