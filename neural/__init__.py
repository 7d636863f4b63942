"""GPTs trained from scratch in one or several languages: text, training, evaluation, sampling, others' weights.

The four published studies that this project repeats on them are still to come.
"""

from theory.command.beginning import begin

begin()
