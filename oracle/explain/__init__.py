"""Explain what was found: simplify the case, name the slip, write a script, run it again."""
