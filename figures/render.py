"""python -m figures.render (figures/engine/render.py)."""

import sys

from figures.engine.render import main

if __name__ == "__main__":
    sys.exit(main())
