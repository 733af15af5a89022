"""What steps stand for is copied from their table, however many entries each has."""

from __future__ import annotations

import numpy as np
import pytest

from qubitd.wire.steps import Copies


@pytest.mark.parametrize("least", [0, 1, 2])
@pytest.mark.parametrize("most", [0, 1, 2, 3, 4, 5, 9])
def test_entries_of_steps_are_those_of_the_table_one_after_another(least: int, most: int) -> None:
    rng = np.random.default_rng(most)
    count = rng.integers(min(least, most), most + 1, 30)
    entries = rng.integers(0, 2**16, count.sum()).astype(np.uint16)
    steps = rng.integers(0, 30, 200)
    parts = np.split(entries, np.cumsum(count)[:-1])
    wanted = [value for step in steps for value in parts[step].tolist()]
    copies = Copies((entries, entries * 2), count)
    found, doubled = copies.of(steps, len(wanted))
    assert found.tolist() == wanted
    assert doubled.tolist() == [2 * value % 2**16 for value in wanted]
    assert [column.tolist() for column in copies.of(steps[:0], 0)] == [[], []]
    full = np.flatnonzero(count == count.max())
    wanted = [value for step in full for value in parts[step].tolist()]
    assert copies.of(full, len(wanted))[0].tolist() == wanted
