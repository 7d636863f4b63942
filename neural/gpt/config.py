"""What a GPT is, and how it is computed, as frozen values; the named sizes."""

from dataclasses import dataclass, fields
from typing import Literal, get_args

from sim.runs.errors import UserError

DType = Literal["float32", "bfloat16", "float64"]
Attention = Literal["xla", "cudnn"]


@dataclass(frozen=True)
class ModelConfig:
    """The shape of a GPT-2: pre-norm blocks, learned positions, tanh-GELU, output tied to the embedding or not."""

    layers: int
    width: int
    heads: int
    context: int
    vocabulary: int
    tied: bool = True

    def check(self) -> None:
        """Raise UserError, in one line, for the first thing that is no GPT."""
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type is int and value < 1:
                raise UserError(f"{field.name} = {value}: give a whole number >= 1")
        if self.width % self.heads:
            raise UserError(
                f"{self.heads} heads do not divide a width of {self.width}: "
                f"make the width a multiple of {self.heads}, or change the heads"
            )

    @property
    def head_width(self) -> int:
        return self.width // self.heads

    @property
    def parameters(self) -> int:
        """How many numbers are learnt; a tied embedding counts once."""
        block = 12 * self.width**2 + 13 * self.width
        embedded = self.vocabulary * (1 if self.tied else 2) + self.context
        return self.layers * block + embedded * self.width + 2 * self.width

    def training_flops(self) -> float:
        """Of training on one token of full sequences: 6 per weight of a matrix, and 12 per layer, channel and key.

        A query of a causal model has context / 2 keys on average; work that the model does not need, on masked keys
        or for rematerialisation, counts for nothing. (Kaplan et al. 2020, who count every key.)
        """
        weights = 12 * self.layers * self.width**2 + self.vocabulary * self.width
        return 6 * weights + 12 * self.layers * self.width * (self.context + 1) / 2


PRESETS: dict[str, ModelConfig] = {
    "tiny": ModelConfig(layers=4, width=128, heads=4, context=128, vocabulary=2048),
    "mini": ModelConfig(layers=4, width=512, heads=8, context=512, vocabulary=8192),
    "small": ModelConfig(layers=12, width=768, heads=12, context=512, vocabulary=16384),
    "gpt2": ModelConfig(layers=12, width=768, heads=12, context=1024, vocabulary=50257),
    "gpt2-medium": ModelConfig(layers=24, width=1024, heads=16, context=1024, vocabulary=50257),
    "gpt2-large": ModelConfig(layers=36, width=1280, heads=20, context=1024, vocabulary=50257),
    "gpt2-xl": ModelConfig(layers=48, width=1600, heads=25, context=1024, vocabulary=50257),
}
"""Sizes by name. A study's tokenizer has the last word on the vocabulary."""


def preset(name: str) -> ModelConfig:
    """The size of that name. Raises UserError for an unknown one."""
    if name not in PRESETS:
        raise UserError(f"unknown preset {name!r}: choose from {', '.join(PRESETS)}")
    return PRESETS[name]


@dataclass(frozen=True)
class Compute:
    """How a GPT is computed. What is computed stays the same, to rounding."""

    dtype: DType = "float32"
    """Of activations; parameters keep theirs. Sums, softmax and loss are float32 at least."""
    remat: bool = False
    """Keep the input of each block alone, and compute the rest again for the gradient: less memory, a third more
    work. It loops over the layers, as scan does: XLA merges repeated work back together in straight-line programs."""
    scan: bool = False
    """Compile one block and loop over the layers: compiles faster, runs slower on CPUs."""
    attention: Attention = "xla"
    """xla: anywhere. cudnn: the flash kernel of NVIDIA's GPUs, in bfloat16."""
    logits: int = 2**24
    """The most logits held at once by a loss: 64 MiB in float32."""

    def check(self) -> None:
        """Raise UserError, in one line, for an option that does not exist."""
        for name, choices in (("dtype", get_args(DType)), ("attention", get_args(Attention))):
            if getattr(self, name) not in choices:
                raise UserError(
                    f"unknown {name} {getattr(self, name)!r}: choose from {', '.join(choices)}"
                )
        if self.attention == "cudnn" and self.dtype != "bfloat16":
            raise UserError(f"cudnn attention computes in bfloat16, not {self.dtype}: change one")
        if self.logits < 1:
            raise UserError(f"logits = {self.logits}: give a whole number >= 1")


def compute_on(
    platform: str,
    *,
    dtype: DType | None = None,
    remat: bool = False,
    scan: bool = False,
    attention: Attention | None = None,
) -> Compute:
    """What is asked for; the rest as suits a JAX platform (cpu, gpu, tpu)."""
    dtype = dtype or ("float32" if platform == "cpu" else "bfloat16")
    flash = platform == "gpu" and dtype == "bfloat16"
    attention = attention or ("cudnn" if flash else "xla")
    return Compute(dtype, remat, scan, attention, logits=2**24 if platform == "cpu" else 2**28)


def compiler_options(platform: str) -> dict[str, int]:
    """For jax.jit of a training step. XLA's CPU backend uses half of an AVX-512 register unless told."""
    return {"xla_cpu_prefer_vector_width": 512} if platform == "cpu" else {}
