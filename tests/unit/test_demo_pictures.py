"""The demo's tables and pictures show what they were given."""

from __future__ import annotations

import argparse
import io
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rich.console import Console

from qubitd.cli.demo import add_arguments
from qubitd.cli.display import LiveDisplay, PlainDisplay, block_character, open_display
from qubitd.cli.histogram_text import histogram_lines
from qubitd.cli.pictures.histogram import OTHER, Outcomes, bars, draw_histograms
from qubitd.cli.pictures.iq import QubitClouds, draw_iq
from qubitd.cli.pictures.pulses import PlayedLine, PlayedPulse, Window, draw_pulses
from qubitd.core.discriminator import Discriminator

BELL = Outcomes(
    title="Bell pair",
    counts={"00": 490, "11": 480, "01": 18, "10": 12},
    ideal={"00": 0.5, "11": 0.5},
    expected={"00": 0.485, "01": 0.02, "10": 0.022, "11": 0.473},
)
FLAT = Outcomes(
    title="flat",
    counts={f"{i:05b}": 31 for i in range(32)},
    ideal={"00000": 1.0},
    expected={f"{i:05b}": 1 / 32 for i in range(32)},
)


def texts(figure: Figure) -> str:
    return "\n".join(text.get_text() for text in figure.findobj(match=lambda artist: hasattr(artist, "get_text")))  # type: ignore[attr-defined]  # by the match


def test_bars_are_sorted_and_the_rest_is_summed() -> None:
    shown = bars(FLAT, least=0.01, most=5)
    assert [bar.label for bar in shown] == ["00000", "00001", "00010", "00011", "00100", OTHER]
    assert shown[-1].count == 27 * 31
    assert shown[-1].expected == pytest.approx(27 / 32)
    assert shown[0].ideal == 1.0


def test_without_a_rest_there_is_no_other() -> None:
    assert [bar.label for bar in bars(BELL, least=0.01)] == ["00", "01", "10", "11"]


def test_tables_stand_side_by_side_on_a_wide_terminal_and_below_each_other_on_a_narrow_one() -> None:
    wide = histogram_lines([BELL, FLAT], width=120)
    tight = histogram_lines([BELL, FLAT], width=75)
    narrow = histogram_lines([BELL, FLAT], width=60, block="#")
    assert wide[0].split("    ")[0] == "Bell pair, 1000 shots"
    assert "flat" in wide[0]
    assert "█" in wide[2]
    assert "flat" in tight[0]
    assert "█" not in "".join(tight)
    assert max(map(len, tight)) <= 75
    assert narrow[0] == "Bell pair, 1000 shots"
    assert narrow[2] == "00            490     485.0    500  ##############"
    assert narrow[6] == ""
    assert narrow[7] == "flat, 992 shots"


def test_histogram_has_a_panel_and_labels_for_each_circuit() -> None:
    figure = draw_histograms([BELL, FLAT], source="line5, revision 3")
    assert "Bell pair, 1000 shots" in texts(figure)
    assert "line5, revision 3" in texts(figure)
    heights = sorted(round(bar.get_height()) for bar in figure.axes[0].patches)  # type: ignore[attr-defined]  # rectangles
    assert heights == [0, 0, 12, 18, 20, 22, 473, 480, 485, 490, 500, 500]


def clouds(qubit: str, rotation: float) -> QubitClouds:
    rng = np.random.default_rng(4)

    def cloud(centre: float) -> NDArray[np.complex64]:
        points = centre + 0.01 * (rng.normal(size=200) + 1j * rng.normal(size=200))
        return np.asarray(points * np.exp(-1j * rotation), dtype=np.complex64)

    return QubitClouds(
        qubit=qubit,
        discriminator=Discriminator(rotation=rotation, threshold=0.02),
        ground=cloud(-0.02),
        excited=cloud(0.06),
        experiment=cloud(0.0),
    )


@pytest.mark.parametrize("rotation", [0.0, 1.2, -2.8])
def test_discriminator_line_runs_between_the_clouds(rotation: float) -> None:
    both = clouds("q0", rotation)
    assert both.errors() == (0.0, 0.0)
    figure = draw_iq([both, clouds("q1", 0.3)], experiment="GHZ")
    (line,) = figure.axes[0].get_lines()
    ends = np.asarray(line.get_xdata()) + 1j * np.asarray(line.get_ydata())
    assert np.real(ends / 100 * np.exp(1j * rotation)) == pytest.approx(0.02)
    assert "q0\nP(1|0) = 0.0%, P(0|1) = 0.0%" in texts(figure)


def pulse(start: int, samples: NDArray[np.float64], *, q: float = 0.0, phase: float | None = None) -> PlayedPulse:
    return PlayedPulse(start=start, samples=np.asarray(samples * (1 + 1j * q), dtype=np.complex128), phase=phase)


DRIVE = PlayedLine(
    name="q0.drive",
    port="slot1.out0",
    frequency=6.05e9,
    pulses=(
        pulse(10, 0.2 * np.hanning(40), q=0.1, phase=0.0),
        pulse(90, 0.2 * np.hanning(40), phase=-90.0),
    ),
    windows=(),
)
READOUT = PlayedLine(
    name="q0.readout",
    port="slot6.out0",
    frequency=7.45e9,
    pulses=(pulse(130, 0.1 * np.ones(400)),),
    windows=(Window(start=330, length=400),),
)
FLUX = PlayedLine(
    name="q0.flux",
    port="slot4.out0",
    frequency=0.0,
    pulses=(pulse(50, -0.3 * np.ones(59)),),
    windows=(),
)
IDLE = PlayedLine(name="q1.drive", port="slot1.out1", frequency=5.25e9, pulses=(), windows=())


def test_every_line_that_played_has_a_row_and_idle_ones_are_named() -> None:
    figure = draw_pulses([DRIVE, FLUX, READOUT, IDLE], title="One shot")
    assert len(figure.axes) == 3
    shown = texts(figure)
    assert "q0.drive\nslot1.out0\n6.05 GHz" in shown
    assert "q0.flux\nslot4.out0\nbaseband" in shown
    assert "-90°" in shown
    assert "idle: q1.drive" in shown
    left, right = figure.axes[0].get_xlim()
    assert left < 10
    assert right > 730


def test_a_pulse_that_outcomes_decide_about_is_dotted_and_explained() -> None:
    kept, maybe = DRIVE.pulses
    figure = draw_pulses([replace(DRIVE, pulses=(kept, replace(maybe, conditional=True)))], title="One shot")
    styles = {patch.get_linestyle() for patch in figure.axes[0].patches if not patch.get_fill()}
    assert styles == {"solid", "dotted"}
    assert "if outcomes say so" in [text.get_text() for text in figure.legends[0].get_texts()]
    plain = draw_pulses([DRIVE], title="One shot")
    assert "if outcomes say so" not in [text.get_text() for text in plain.legends[0].get_texts()]


def test_nothing_played_is_nothing_to_draw() -> None:
    with pytest.raises(ValueError, match="no line carried a pulse"):
        draw_pulses([IDLE], title="")


def test_pictures_are_written_as_png(tmp_path: Path) -> None:
    draw_pulses([DRIVE], title="One shot").savefig(tmp_path / "pulses.png")
    assert (tmp_path / "pulses.png").read_bytes().startswith(b"\x89PNG")


def test_a_pipe_gets_plain_lines_and_no_state(capsys: pytest.CaptureFixture[str]) -> None:
    with open_display() as display:
        assert isinstance(display, PlainDisplay)
        display.state("working", 0.5)
        display.say("done [not markup]")
    assert capsys.readouterr().out == "done [not markup]\n"


def test_a_terminal_gets_a_bar_below_the_lines() -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=80, _environ={})
    with open_display(console) as display:
        assert isinstance(display, LiveDisplay)
        display.state("running the Bell pair", 0.5)
        display.say("QUEUED [0]")
    assert "QUEUED [0]" in screen.getvalue()
    assert "running the Bell pair" in screen.getvalue()


@pytest.mark.parametrize(("encoding", "block"), [("utf-8", "█"), ("ascii", "#")])
def test_bars_are_drawn_with_what_the_terminal_can_write(
    encoding: str, block: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding=encoding))
    assert block_character() == block


@pytest.mark.parametrize(
    ("option", "message"),
    [("--shots=99", "99 shots show nothing here"), ("--seed=4294967296", "no seed; give 0 to 4294967295")],
)
def test_options_of_the_demo_have_bounds(option: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    with pytest.raises(SystemExit):
        parser.parse_args([option])
    assert message in capsys.readouterr().err
