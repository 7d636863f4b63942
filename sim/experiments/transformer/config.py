"""The transformer experiment as frozen values: what is trained on which tasks, how it is broken, in what batches."""

from dataclasses import dataclass
from itertools import product

from sim.runs.errors import UserError


@dataclass(frozen=True)
class Architecture:
    """The network and its training; its width d and its bottleneck's size k belong to the cell.

    It is trained on every sequence of `length` tokens out of `vocabulary`, all equally likely.
    """

    vocabulary: int = 4
    length: int = 4
    layers: int = 2
    attention_heads: int = 2
    expansion: int = 2
    steps: int = 800
    learning_rate: float = 0.01

    @property
    def groups(self) -> tuple[str, ...]:
        """The parameters below the bottleneck, by the names of their groups, from the tokens upwards."""
        parts = product(range(self.layers), ("attention", "mlp"))
        return ("embedding", *(f"layer-{layer}.{part}" for layer, part in parts))


@dataclass(frozen=True)
class TransformerBatch:
    """The models of one T, every geometry and seed, which share a compiled program."""

    T: int


@dataclass(frozen=True)
class TransformerTasks:
    """Small transformers over task geometries, numbers of tasks T and seeds, and how they are broken.

    `perturbations` hit the bottleneck W, with `draws` draws at the strengths of a sweep. Noise of size `sigmas`, with
    `pairs` draws and their opposites, hits every group of parameters before W; `probes` estimate the curvature there.
    """

    geometries: tuple[str, ...] = (
        *("orthonormal", "sphere", "equicorrelated", "clustered", "power-law"),
    )
    T: tuple[int, ...] = (4, 8, 12, 16)
    d: int = 16
    k: int = 4
    seeds: int = 3
    seed: int = 0
    architecture: Architecture = Architecture()
    perturbations: tuple[str, ...] = (
        *("additive-noise", "multiplicative-noise", "weight-deletion", "neuron-deletion"),
    )
    draws: int = 256
    sigmas: tuple[float, ...] = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
    pairs: int = 8
    probes: int = 48

    def check(self) -> None:
        """Raise UserError, in one line, for the first thing that cannot be trained or measured."""
        from sim.config import STRENGTHS
        from sim.failures.named import KIND
        from theory.geometry import KINDS, existing

        net = self.architecture
        counts = {"d": self.d, "k": self.k, "seeds": self.seeds, "T": min(self.T, default=0)}
        counts |= {
            name: getattr(net, name)
            for name in ("layers", "attention_heads", "expansion", "length", "steps")
        }
        counts |= {"tokens in the vocabulary": net.vocabulary - 1}
        for name, count in counts.items():
            if count < 1:
                raise UserError(f"transformer: too few {name}: give whole numbers >= 1")
        samples = {"draws": self.draws, "pairs": self.pairs, "probes": self.probes}
        for name, count in samples.items():
            if count < 2:
                raise UserError(f"transformer: {name} = {count}: a standard error needs two")
        known = [name for name in STRENGTHS if not KIND[name].adversarial]
        for what, names, choice in (
            ("geometry", self.geometries, list(KINDS)),
            ("failure of the bottleneck", self.perturbations, known),
        ):
            for name in names:
                if name not in choice:
                    raise UserError(
                        f"transformer: unknown {what} {name!r}: choose from {', '.join(choice)}"
                    )
            if not names:
                raise UserError(f"transformer: no {what} named: choose from {', '.join(choice)}")
        for T, geometry in product(self.T, self.geometries):
            if self.k > min(self.d, T):
                raise UserError(
                    f"transformer: k = {self.k} exceeds min(d, T) = {min(self.d, T)}: lower --k, or raise --d and --T"
                )
            if geometry not in existing(self.d, T):
                raise UserError(
                    f"transformer: no {geometry} tasks exist for d = {self.d}, T = {T}: "
                    "most geometries need d >= T"
                )
        if self.d % net.attention_heads:
            raise UserError(
                f"transformer: --d {self.d} does not divide into {net.attention_heads} attention heads: "
                f"give a multiple of {net.attention_heads}"
            )
        if not 0 < net.learning_rate < float("inf"):
            raise UserError("transformer: the learning rate must be a finite number > 0")
        if not self.sigmas or not all(0 < sigma < float("inf") for sigma in self.sigmas):
            raise UserError("transformer: sigmas must be finite numbers > 0")
        if self.seed < 0:
            raise UserError(f"--seed {self.seed}: give a whole number >= 0")
        self._check_sequences()

    def _check_sequences(self) -> None:
        """Whether the sequences are few enough to enumerate, and many enough to carry d features."""
        V, L = self.architecture.vocabulary, self.architecture.length
        if V**L > MOST_SEQUENCES:
            raise UserError(
                f"transformer: {V}^{L} sequences are too many to train on all (at most {MOST_SEQUENCES}): "
                "use shorter ones or fewer tokens"
            )
        # Functions of one token at each place, and of neighbouring pairs beyond those.
        functions = L * (V - 1) + (L - 1) * (V - 1) ** 2
        if self.d > functions:
            raise UserError(
                f"transformer: d = {self.d} exceeds the {functions} independent features of neighbouring tokens in "
                f"{L} places out of {V}: lower --d, or use longer sequences or more tokens"
            )

    def batches(self) -> list[TransformerBatch]:
        """The units of work, one a T: small enough to lose, large enough to share a program."""
        return [TransformerBatch(T) for T in self.T]

    @property
    def grid(self) -> list[tuple[str, int]]:
        """Geometry and seed of each model of a batch."""
        return list(product(self.geometries, range(self.seed, self.seed + self.seeds)))


MOST_SEQUENCES = 4096
