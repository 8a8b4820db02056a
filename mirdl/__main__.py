"""``python -m mirdl``: the same as the ``mirdl`` command."""

import sys

from mirdl.cli import main

sys.exit(main())
