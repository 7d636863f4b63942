"""The linear theory of multitask representations under structural failure: closed forms and proofs.

Setting (Daras et al. 2022, arXiv 2210.11618): tasks are the columns of C (d, T), a shared representation W (k, d) feeds
heads (k, T), and a failure of W costs the slope rho_k(C) = (1/T) sum_{i<=k} sigma_i(C)^2. Import what you need from
theory.geometry, theory.spectra, theory.representation, theory.perturbation and theory.dynamics;
`from theory import Statement` states a claim for `python -m theory check`.
"""

from theory.command.beginning import begin

begin()


def __getattr__(name: str) -> object:
    if name == "Statement":
        from theory.statement import Statement

        return Statement
    raise AttributeError(f"module 'theory' has no attribute {name!r}")
