"""Tables of a study, as they are read."""

import os

import pandas as pd

from neural.study.results import read
from sim.runs.store import packed
from tests.neural.refusal import message


def test_a_pipe_in_the_place_of_a_part_is_not_waited_for(tmp_path):
    table = pd.DataFrame({"x": [1.0, 2.0]})
    (tmp_path / "part-curves-a.parquet").write_bytes(packed(table))
    pd.testing.assert_frame_equal(read(tmp_path, "curves"), table)
    os.mkfifo(tmp_path / "part-curves-b.parquet")
    assert "part-curves-b.parquet is a pipe, not a file" in message(read, tmp_path, "curves")
