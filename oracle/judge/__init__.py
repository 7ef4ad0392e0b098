"""The judge: everything that a target said, beside the truth."""
