"""Where things are, for tests that lie at any depth."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
"""Real text, treebanks, images and inputs that went wrong; tests that need them are skipped without."""
FIXTURES = ROOT / "tests" / "neural" / "fixtures"
