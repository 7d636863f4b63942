"""Where named corpora and annotations can be had: addresses of a commit, and how their files become the corpus."""

from neural.text.origins.recipes import FOLDERS, ORIGINS, PINS, Origin

__all__ = ["FOLDERS", "ORIGINS", "PINS", "Origin"]
