"""``python -m mirdl.experiments``."""

import sys

from mirdl.experiments.runner import main

if __name__ == "__main__":
    sys.exit(main())
