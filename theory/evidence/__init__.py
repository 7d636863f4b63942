"""How a statement is established: modules by grade of evidence, each loading only the libraries it needs.

`symbolic` matrix algebra and `scalars` (sympy), `exact` rational certificates (numpy), `interval` Arb balls
(python-flint), `convex` primal-dual pairs (cvxpy), `search` for counterexamples, which `witness` confirms; `lemmas` and
`chance` are steps that several statements share.
"""

PROOF_PACKAGES = ("sympy", "mpmath", "cvxpy", "flint")
"""What these modules import beyond numpy and scipy: the extra `proofs` of the package."""
