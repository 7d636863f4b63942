"""python -m neural.evaluate (neural/measures/evaluate.py)."""

import sys

from neural.measures.evaluate import main

if __name__ == "__main__":
    sys.exit(main())
