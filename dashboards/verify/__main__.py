"""``python -m dashboards.verify``."""

import sys

from dashboards.verify.cli import main

sys.exit(main())
