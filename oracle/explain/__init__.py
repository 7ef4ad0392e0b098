"""Make a discrepancy readable: simplify, diagnose, script, replay."""
