"""``python -m impl.train``."""

import sys

from impl.train.command import main

if __name__ == "__main__":
    sys.exit(main())
