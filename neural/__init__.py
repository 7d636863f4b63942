"""Language models trained from scratch and hit by structural failures: planned, not there yet.

To come: a GPT with its data, training and evaluation, and one study for each of the four papers the
project starts from. This package will import theory and sim.runs of ours, and will do without the
packages that only proofs need (cvxpy, python-flint).
"""
