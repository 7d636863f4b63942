"""python -m figures.page (figures/engine/page.py)."""

import sys

from figures.engine.page import main

if __name__ == "__main__":
    sys.exit(main())
