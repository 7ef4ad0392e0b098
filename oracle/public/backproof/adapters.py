"""Adapters: code of another shape as a target. See ``oracle.targets.adapters``."""

from oracle.targets.adapters import *  # noqa: F403
from oracle.targets.adapters import __all__ as __all__
