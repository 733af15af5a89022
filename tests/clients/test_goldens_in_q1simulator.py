"""Every golden Q1ASM text, run by Q1Simulator and by our emulator: plays and acquisitions happen at the same times.

The text of a conditional block is played as if its condition held, by both.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qubitd.emulator.q1.assembler import assemble
from qubitd.emulator.q1.core import prepare
from qubitd.emulator.q1.isa import Op
from qubitd.emulator.q1.shotloop import run_fully
from qubitd.emulator.q1.timeline import free_timeline

# Its viewer needs Qt, which nobody needs here; so this takes the viewer's place before anything of it is imported.
browser = types.ModuleType("q1simulator.gui.program_browser")
browser.Q1ProgramBrowser = object  # type: ignore[attr-defined]  # a module made by hand
sys.modules["q1simulator.gui.program_browser"] = browser

from q1simulator import Q1Simulator  # noqa: E402  (see above)
from q1simulator.rt_renderer import Renderer  # noqa: E402  (see above)

FOLDER = Path(__file__).parents[1] / "golden" / "cluster"
HEADING = "# "
Times = list[tuple[str, int]]


def programs() -> Iterator[Any]:
    """Each sequencer's program of each golden file."""
    for path in sorted(FOLDER.glob("*.q1asm")):
        for part in path.read_text().split(HEADING)[1:]:
            name, _, text = part.partition("\n")
            yield pytest.param(text, id=f"{path.stem}-{name.split()[0]}")


def by_q1simulator(text: str, monkeypatch: pytest.MonkeyPatch) -> Times:
    found: Times = []
    for name, kind in (("play", "play"), ("acquire", "acquire"), ("acquire_weighted", "acquire")):
        original = getattr(Renderer, name)

        def noted(self: Any, *operands: Any, original: Any = original, kind: str = kind) -> None:
            found.append((kind, int(self.time)))
            original(self, *operands)

        monkeypatch.setattr(Renderer, name, noted)
    simulator = Q1Simulator("q1", sim_type="QRM")
    sequencer = simulator.sequencers[0]
    sequencer.sync_en(True)
    sequencer.sequence(
        {
            "program": text,
            "waveforms": {str(i): {"data": [0.0] * 4, "index": i} for i in range(8)},
            "weights": {str(i): {"data": [0.0] * 4, "index": i} for i in range(8)},
            "acquisitions": {"0": {"num_bins": 131_072, "index": 0}},
        }
    )
    sequencer.config("max_render_time", 10**9)
    sequencer.config("render_repetitions", True)
    sequencer.arm_sequencer()
    sequencer.start_sequencer()
    sequencer.get_sequencer_status(1)
    assert sequencer.get_simulation_end_time() > 0
    return found


def by_emulator(text: str) -> Times:
    trace = run_fully(prepare(assemble(text, memory=16_384))).trace
    start = free_timeline(trace).start
    kinds = {int(Op.PLAY): "play", int(Op.ACQUIRE): "acquire", int(Op.ACQUIRE_WEIGHED): "acquire"}
    rows = np.flatnonzero(np.isin(trace.op, list(kinds)))
    return [(kinds[int(trace.op[i])], int(start[i])) for i in rows]


@pytest.mark.parametrize("text", programs())
def test_plays_and_acquisitions_are_at_the_same_times(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs, ours = by_q1simulator(text, monkeypatch), by_emulator(text)
    assert ours
    assert [(kind, time - theirs[0][1]) for kind, time in theirs] == [(kind, time - ours[0][1]) for kind, time in ours]
