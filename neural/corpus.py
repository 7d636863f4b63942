"""python -m neural.corpus (neural/text/corpus.py)."""

import sys

from neural.text.corpus import main

if __name__ == "__main__":
    sys.exit(main())
