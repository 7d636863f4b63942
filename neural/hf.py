"""python -m neural.hf (neural/gpt/hf.py)."""

import sys

from neural.gpt.hf import main

if __name__ == "__main__":
    sys.exit(main())
