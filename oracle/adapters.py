"""The public name of ``oracle.targets.adapters``: code of another shape as a target."""

from oracle.targets.adapters import *  # noqa: F403
from oracle.targets.adapters import __all__ as __all__
