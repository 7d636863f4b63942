"""Falsification: proposals of every family, the tightest families at every shape, then ascent from the tightest.

`falsify` answers Refuted only with a witness that survived `theory.evidence.witness`; otherwise Supported, with what
was searched and the tightest instance. It is bounded by counts of instances: equal arguments try the same instances in
the same order, on any machine under any load.
"""

from collections.abc import Callable
from contextlib import suppress
from itertools import islice, product

import numpy as np
from numpy.typing import NDArray

from theory.evidence import witness
from theory.evidence.ascent import FINE, Start, climb
from theory.evidence.instances import (
    Admission,
    Proposal,
    drawn,
    effort,
    frozen,
    generated,
    proposals,
)
from theory.evidence.minimise import (
    WORK,
    Confirmation,
    minimised,
    ordinary,
    rationalised,
    reduced,
)
from theory.evidence.numbers import exactly, show
from theory.evidence.precise import precise_sides
from theory.evidence.retractions import NORMALISING, RETRACTIONS, keeping
from theory.spectra import singular_values
from theory.statement import (
    ROUNDING,
    Inconclusive,
    Instance,
    Refuted,
    Searched,
    Statement,
    Supported,
)

Array = NDArray[np.float64]
Progress = Callable[[int, int], None]
"""Called with how many instances were evaluated, of how many planned."""

DOUBTS = 600.0
"""Work spent on violations below the float noise of the claim; one of n entries costs n^1.5, as in minimising."""
SINGULAR = 40
"""Exactly singular instances that are judged in more digits from the start."""
SWEPT = 0.8
"""Of the budget, for what is proposed to every claim; the rest is for ascents and for families at other shapes."""
SMALL_STARTS = 8
TRANSFERRED = 4
"""Families, the tightest, that are tried at every length and width."""


def falsify(
    statement: Statement,
    profile: str = "quick",
    seed: int = 0,
    *,
    instances: int | None = None,
    progress: Progress | None = None,
) -> Supported | Refuted | Inconclusive:
    """Search for a counterexample among that many instances (the profile's own if None).

    Raises ValueError in one line if the claim itself cannot be evaluated at an admissible instance.
    """
    given = effort(profile)
    own = statement.generate is not None
    budget = instances or (given.instances_generated if own else given.instances)
    search = _Search(statement, budget, seed, progress)
    try:
        with suppress(_Spent):
            search.run(profile)
    except _Refuted as refuted:
        return refuted.verdict
    if search.tightest is None:
        return Inconclusive(search.why_nothing())
    return Supported("sampled", search.n, search.worst, search.tightest, search.searched())


class _Refuted(Exception):
    def __init__(self, verdict: Refuted) -> None:
        self.verdict = verdict


class _Spent(Exception):
    """The budget of instances is used up."""


class _Search:
    """One search: what has been tried, the tightest instance, and where ascents start."""

    def __init__(
        self, statement: Statement, budget: int, seed: int, progress: Progress | None
    ) -> None:
        self.statement, self.budget, self.seed, self.progress = statement, budget, seed, progress
        self.admission = Admission(statement, np.random.default_rng(seed))
        self.n = self.skipped = 0
        self.worst = float(np.inf)
        self.tightest: Instance | None = None
        self.starts: dict[tuple[int, ...], Start] = {}
        self.families: dict[str, Start] = {}
        self.doubts, self.singular = DOUBTS, SINGULAR
        self.ordinary = False  # whether an instance of ordinary size was admissible
        self.last: tuple[float, float] = (0.0, 0.0)
        self.reach = {"d": 0, "T": 0, "k": 0}
        self.ratio, self.least, self.largest = 1.0, float(np.inf), 0.0
        self.seen: Array | None = None

    # --- the course of it ---

    def run(self, profile: str) -> None:
        tight = self.statement.tight_at
        if not isinstance(tight, str) and self.statement.admits(tight):
            self.meet(frozen(tight), "none")
        if self.statement.generate is not None:
            unit = any(condition.name == "unit_tasks" for condition in self.statement.conditions())
            retraction = "columns" if unit else "none"
            share = max(1, self.budget // 3)
            own = generated(self.statement, self.admission, self.seed, profile)
            for instance in islice(own, share):
                self.start_from(instance, retraction, self.meet(instance, retraction))
        else:
            self.sweep(profile)
            self.transfer()
        self.climb()

    def sweep(self, profile: str) -> None:
        """Every proposal, or evenly spaced ones where the budget is smaller."""
        proposed = proposals(self.seed, effort(profile).rounds)
        planned = sum(len(proposal.ks) for proposal in proposed)
        count = min(len(proposed), max(1, int(len(proposed) * SWEPT * self.budget / planned)))
        for number in range(count):
            proposal = proposed[number * len(proposed) // count]
            admitted = self.admission.admitted(proposal.C, proposal.ks)
            if admitted is None:
                continue
            C, ks, retraction = admitted
            for k in ks:
                instance = {"C": C, "k": k}
                self.start_from(instance, retraction, self.meet(instance, retraction), proposal)

    def transfer(self) -> None:
        """The tightest families at every length and width, where a claim may fail at one shape alone."""
        ranked = sorted(self.families.values(), key=lambda start: start.slack)[:TRANSFERRED]
        end = self.n + self.budget // 10
        shapes = [
            shape
            for n in (*range(1, 25), 32, 64)
            for shape in ((n + 1, n), (n, n + 1), (2, n), (n, 2))
            if min(shape) <= 24
        ]
        for (d, T), start in product(shapes, ranked):
            if self.n >= end:
                break
            proposal = start.proposal
            assert proposal is not None
            C = drawn(proposal.family, d, T, proposal.at, proposal.seed)
            if C is None:
                continue
            ks = tuple(sorted({1, min(d, T)}))
            admitted = self.admission.admitted(C, ks)
            if admitted is None:
                continue
            near, allowed, retraction = admitted
            here = Proposal(C, allowed, proposal.family, proposal.at, proposal.seed)
            for k in allowed:
                instance = {"C": near, "k": k}
                self.start_from(instance, retraction, self.meet(instance, retraction), here)

    def climb(self) -> None:
        """Ascents from the tightest instance of each shape and k, small ones and some large, until the budget ends."""
        rng = np.random.default_rng([self.seed, 1])
        ranked = sorted(self.starts.values(), key=lambda start: start.slack)
        cheap = sorted(ranked, key=lambda s: (round(s.slack, 9), np.size(s.instance["C"])))
        chosen = []
        for low, high, most in ((1000, np.inf, 1), (FINE, 1000, 3), (0, FINE, SMALL_STARTS)):
            order = cheap if low else ranked
            of_size = [s for s in order if low < np.size(s.instance["C"]) <= high]
            chosen += of_size[:most]
        for i, start in enumerate(chosen):
            calls = (self.budget - self.n) // (len(chosen) - i)
            if (
                np.size(start.instance["C"]) > 1000
            ):  # each evaluation costs as much as many small ones
                calls //= 8
            retraction = self.keeping(start, rng)
            climb(self, Start(start.slack, start.instance, retraction, start.proposal), calls, rng)

    def keeping(self, start: Start, rng: np.random.Generator) -> str:
        """A retraction by which small moves of the start stay admissible; its own if there is none."""
        if self.admission.free or self.statement.generate is not None:
            return start.retraction
        served = [name for name, _ in self.admission.served.most_common()]
        names = dict.fromkeys([start.retraction, *served, *RETRACTIONS])
        C = np.asarray(start.instance["C"], dtype=float)
        name = keeping(
            C,
            lambda near: self.admissible({**start.instance, "C": near}),
            rng,
            iter(names),
        )
        return name or start.retraction

    # --- one instance ---

    def admissible(self, instance: Instance) -> bool:
        try:
            return self.admission.admits(instance)
        except (
            ValueError
        ):  # a hypothesis need not be defined far from the statement's own instances
            return False

    def meet(self, instance: Instance, retraction: str, *, base: bool = True) -> float:
        """The slack of one more instance; raises _Refuted if it is a counterexample, _Spent if it is one too many."""
        if self.n + self.skipped >= self.budget:
            raise _Spent
        instance = frozen(instance)
        self.last = (np.nan, np.nan)
        slack = self.slack(instance, base)
        if slack is None:
            self.skipped += 1
            return float(np.inf)
        self.note(instance, base)
        if slack < -self.statement.tolerance:
            slack = self.examine(instance, retraction)
        if self.progress is not None:
            self.progress(self.n, self.budget)
        if self.tightest is None or self.tighter(slack, instance, self.tightest):
            self.tightest = instance
        self.worst = min(self.worst, slack)
        return slack

    def tighter(self, slack: float, instance: Instance, tightest: Instance) -> bool:
        """Whether it is shown in the place of the tightest so far: up to rounding, the smaller matrix is."""
        if abs(slack - self.worst) <= ROUNDING:
            return np.size(instance["C"]) < np.size(tightest["C"])
        return slack < self.worst

    def difference(self, instance: Instance) -> float:
        lhs, rhs = self.last
        gap = rhs - lhs if self.statement.relation == "<=" else -abs(rhs - lhs)
        return gap if np.isfinite(gap) else float(np.inf)

    def slack(self, instance: Instance, base: bool) -> float | None:
        """Relative slack in float64, in more digits where float64 has no room; None where neither can tell."""
        slack, failed = float("nan"), None
        try:
            with np.errstate(all="ignore"):
                self.last = self.statement.values(instance)
                slack = self.statement.relative(*self.last, instance)
        except ValueError as error:
            failed = error
        room = ordinary(instance)
        if np.isfinite(slack) and (room or 0 not in self.last):
            if base and self.singular and room and _exactly_singular(instance):
                self.singular -= 1
                precise = self.precise_slack(instance)
                self.singular = 0 if precise is None else self.singular
                return slack if precise is None else min(slack, precise)
            return slack
        precise = self.precise_slack(instance)
        if precise is not None or np.isfinite(slack):
            return slack if precise is None else precise
        if failed and base and room:
            at = ", ".join(f"{name} = {show(value)}" for name, value in instance.items())
            raise ValueError(f"{failed} (at {at})") from failed
        return slack if np.isinf(slack) and room else None

    def precise_slack(self, instance: Instance) -> float | None:
        sides = precise_sides(self.statement, exactly(instance), 50)
        if sides is None:
            return None
        lhs, rhs = sides
        gap = rhs - lhs if self.statement.relation == "<=" else -abs(rhs - lhs)
        scale = max(abs(lhs), abs(rhs))
        return float(gap / scale) if scale else 0.0

    def examine(self, instance: Instance, retraction: str) -> float:
        """Raise _Refuted with a minimal witness near a violating instance; 0 if it was rounding only."""
        if self.by_tolerance_alone(instance):
            return 0.0
        unit = retraction in NORMALISING
        doubtful = witness.within_noise(self.statement, instance)
        if doubtful:
            self.doubts -= np.size(instance["C"]) ** 1.5
            if self.doubts < 0:
                return 0.0
        else:
            instance = reduced(self.statement, instance, retraction)

        confirmed = Confirmation(
            self.statement, doubtful=doubtful, excluded=self.by_tolerance_alone
        )
        exact = exactly(instance)
        counterexample = confirmed(exact)
        if counterexample is None:
            return 0.0
        for candidate in rationalised(self.statement, instance, unit):
            better = confirmed(candidate) if confirmed.left > WORK / 2 else None
            if better is not None:
                exact, counterexample = candidate, better
                break
        raise _Refuted(Refuted(minimised(exact, counterexample, unit, confirmed)))

    def by_tolerance_alone(self, instance: Instance) -> bool:
        """Whether the hypotheses hold only since the entries are smaller than what they take for zero."""
        size = float(np.abs(np.asarray(instance["C"], dtype=float)).max())
        if self.admission.free or not self.ordinary or not 0 < size < 1e-5:
            return False
        C = np.asarray(instance["C"], dtype=float) / size
        return not any(self.admissible({**instance, "C": C * scale}) for scale in (1.0, 1e-3))

    # --- the record of it ---

    def start_from(
        self, instance: Instance, retraction: str, slack: float, proposal: Proposal | None = None
    ) -> None:
        """Remember the instance if it is the tightest of its shape and k, or of its family."""
        if not np.isfinite(slack) or not ordinary(instance):
            return
        start = Start(slack, instance, retraction, proposal)
        stratum = (*np.shape(instance["C"]), instance["k"])
        if stratum not in self.starts or slack < self.starts[stratum].slack:
            self.starts[stratum] = start
        family = proposal.family if proposal is not None else ""
        tighter = family not in self.families or slack < self.families[family].slack
        if family and tighter and np.any(instance["C"]):
            self.families[family] = start

    def note(self, instance: Instance, base: bool) -> None:
        self.n += 1
        C, k = np.asarray(instance["C"], dtype=float), instance["k"]
        self.reach["k"] = max(self.reach["k"], int(k))
        if not base or C is self.seen:
            return
        self.seen = C
        size = float(np.abs(C).max())
        self.ordinary = self.ordinary or 1e-3 < size < 1e3
        self.reach["d"], self.reach["T"] = (
            max(self.reach[name], n) for name, n in zip("dT", C.shape, strict=True)
        )
        if size:
            self.least, self.largest = min(self.least, size), max(self.largest, size)
            sigma = singular_values(C)
            kept = sigma[sigma > np.finfo(float).eps * max(C.shape) * sigma[0]]
            self.ratio = max(self.ratio, float(kept[0] / kept[-1]))

    def searched(self) -> Searched:
        least = self.least if self.largest else 0.0
        return Searched(self.n, **self.reach, ratio=self.ratio, least=least, largest=self.largest)

    def why_nothing(self) -> str:
        if self.skipped:
            return "no instance could be evaluated in float64 or in more digits"
        return (
            f"no instance found: none of {self.admission.proposed:,} matrices, d, T <= 64, and what "
            f"{len(RETRACTIONS)} retractions make of them satisfies the hypotheses"
        )


def _exactly_singular(instance: Instance) -> bool:
    """Whether C is a small matrix of small integers without full rank, not zero."""
    C = np.asarray(instance["C"], dtype=float)
    if min(C.shape) < 2 or max(C.shape) > 3 or not C.any():
        return False
    if not np.array_equal(C, np.rint(C)) or np.abs(C).max() > 1000:
        return False
    return int(np.linalg.matrix_rank(C)) < min(C.shape)
