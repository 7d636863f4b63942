"""python -m neural.bench (neural/train/bench.py)."""

from neural.gpt.memory import restart_with_huge_pages
from neural.train.bench import main

if __name__ == "__main__":
    restart_with_huge_pages()
    raise SystemExit(main())
