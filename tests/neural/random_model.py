"""Models whose every parameter is random, and large enough that context decides what they expect next."""

import numpy as np

from neural.gpt.model import shapes


def random_parameters(config, seed=0, scale=0.4):
    rng = np.random.default_rng(seed)
    return {
        name: (scale * rng.standard_normal(shape)).astype(np.float32)
        for name, shape in shapes(config).items()
    }
