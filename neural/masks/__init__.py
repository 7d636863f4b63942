"""Masks of weights: as values, by pruning or by a score, what they have in common and what they save."""
