"""python -m neural.sample (neural/gpt/sample.py)."""

import sys

from neural.gpt.sample import main

if __name__ == "__main__":
    sys.exit(main())
