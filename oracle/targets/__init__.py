"""Targets: what is put on trial. Find one, ask it, and keep it in a process of its own."""
