"""The command line."""

from oracle.cli.app import main

__all__ = ["main"]
