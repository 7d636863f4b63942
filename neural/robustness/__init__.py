"""Study D22: do models of several languages survive structural failure better? `python -m neural.robustness`."""
