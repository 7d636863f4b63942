"""What the slacks of statements are relative to where both sides may be rounding, beyond `statement.SCALES`."""

import numpy as np

from theory.spectra import ky_fan
from theory.statement import Scale

ENERGY = Scale("|C|_F^2", lambda C: float(np.linalg.norm(C)) ** 2)
LARGEST = Scale("sigma_1(C)^2", lambda C: ky_fan(C, 1) ** 2)
