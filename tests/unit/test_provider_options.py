"""Options are checked again when a job is made, whatever way they were set."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qiskit.result.models import MeasLevel as QiskitLevel
from qiskit.result.models import MeasReturnType

from qubitd.client import Limits
from qubitd.core.job import Decoupling, InitialReset, MeasLevel, MeasReturn, Scheduling
from qubitd.provider.options import RunOptions, add_validators, check_options, default_options, read_max_iterations

LIMITS = Limits(max_shots=100_000, max_circuits=1_000, max_total_shots=5_000_000, max_job_bytes=1 << 26)


def checked(num_circuits: int = 1, **values: Any) -> RunOptions:
    options, problems = check_options(dict(default_options()) | values, LIMITS, num_circuits=num_circuits)
    assert problems == []
    return options


def refused(num_circuits: int = 1, **values: Any) -> list[str]:
    _, problems = check_options(dict(default_options()) | values, LIMITS, num_circuits=num_circuits)
    return [str(problem) for problem in problems]


def test_the_reference_lists_every_option_with_its_default() -> None:
    text = (Path(__file__).parents[2] / "docs" / "reference" / "run-options.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1:3] for line in text.splitlines() if line.startswith("| `")]
    listed = {
        name: default.strip().strip("`").strip('"') for names, default in rows for name in re.findall(r"`(\w+)`", names)
    }
    known = dict(default_options())
    assert listed == {name: "none" if value == () else str(value) for name, value in known.items()}


def test_options_are_read_again_where_any_has_changed() -> None:
    tags = ["a"]
    assert checked(shots=1, memory=True, tags=tags).tags == checked(shots=1, memory=True, tags=("a",)).tags == ("a",)
    tags.append("b")
    assert checked(shots=1, memory=True, tags=tags).tags == ("a", "b")
    sound: dict[str, Any] = {"shots": 1, "memory": True, "tags": ("a",)}
    for name, wrong in (("shots", True), ("shots", 1.0), ("memory", 1), ("tags", (["a"],))):
        assert len(refused(**(sound | {name: wrong}))) == 1
    assert checked(reset_rounds=2, shots=LIMITS.max_shots).shots == LIMITS.max_shots
    narrow = replace(LIMITS, max_shots=10)
    _, problems = check_options(dict(default_options()) | {"shots": LIMITS.max_shots}, narrow, num_circuits=1)
    assert [str(problem) for problem in problems] == ["option shots: is 100000; the limits are 1 and 10"]


def test_defaults_are_taken() -> None:
    assert checked() == RunOptions(
        shots=1024,
        memory=False,
        meas_level=MeasLevel.CLASSIFIED,
        meas_return=MeasReturn.SINGLE,
        herald=False,
        scheduling=Scheduling.ALAP,
        dd=None,
        reset_rounds=2,
        initial_reset=InitialReset.AUTO,
        rep_delay=0.0,
        max_execution_time=86_400.0,
        seed_simulator=None,
        revision=None,
        tags=(),
    )


@pytest.mark.parametrize("shots", [1, 100_000, np.int64(10)])
def test_whole_numbers_of_shots_within_the_limits_are_taken(shots: Any) -> None:
    assert checked(shots=shots).shots == shots


@pytest.mark.parametrize("shots", [True, np.bool_(True), 10.5, 10.0, "10", None])
def test_what_is_no_whole_number_of_shots_is_refused(shots: Any) -> None:
    assert refused(shots=shots) == [f"option shots: is {shots!r}; give a whole number from 1 to 100000"]


@pytest.mark.parametrize("shots", [0, -1, 100_001, 10**9])
def test_shots_outside_the_limits_are_refused_with_both_numbers(shots: int) -> None:
    assert refused(shots=shots) == [f"option shots: is {shots}; the limits are 1 and 100000"]


def test_more_shots_than_a_job_may_have_are_refused_with_both_numbers() -> None:
    assert checked(50, shots=100_000).shots == 100_000
    assert refused(51, shots=100_000) == [
        "option shots: 51 circuits x 100000 shots are 5100000, and a job may have 5000000; send several jobs"
    ]


@pytest.mark.parametrize(
    ("level", "expected"), [(1, 1), (QiskitLevel.KERNELED, 1), (QiskitLevel.CLASSIFIED, 2), ("both", 3)]
)
def test_levels_are_taken_as_numbers_and_as_qiskits_names(level: Any, expected: int) -> None:
    assert checked(meas_level=level).meas_level == expected


@pytest.mark.parametrize("kind", ["avg", MeasReturnType.AVERAGE])
def test_averages_of_iq_points_can_be_asked_for(kind: Any) -> None:
    assert checked(meas_level=1, meas_return=kind).meas_return is MeasReturn.AVERAGE


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"memory": 1}, "option memory: is 1; give True or False"),
        ({"meas_level": 0},
         "option meas_return: is 'single', and a trace (meas_level 0) is the mean over shots of a feedline, "
         "not of one shot or qubit; ask for meas_return='avg'"),
        ({"meas_level": True}, "option meas_level: is True; give 0 (traces), 1 (IQ points), 2 (bits) or 'both'"),
        ({"meas_level": "all"}, "option meas_level: is 'all'; give 0 (traces), 1 (IQ points), 2 (bits) or 'both'"),
        ({"meas_level": 0, "meas_return": "avg", "herald": True},
         "option herald: is True, and a trace (meas_level 0) is the mean over all shots; ask for meas_level=1"),
        ({"meas_level": 0, "meas_return": "avg", "initial_reset": "active"},
         "option initial_reset: is 'active', which measures, and a trace (meas_level 0) takes one measurement of each "
         "qubit; ask for initial_reset='passive'"),
        ({"rerun_on_interrupt": 1}, "option rerun_on_interrupt: is 1; give True or False"),
        ({"herald": 1}, "option herald: is 1; give True or False"),
        ({"dd": "cpmg"}, "option dd: is 'cpmg'; give None, 'x2', 'xy4' or 'xy8'"),
        ({"scheduling": "late"},
         "option scheduling: is 'late'; give 'alap' (as late as possible) or 'asap' (as soon as possible)"),
        ({"meas_level": "both", "meas_return": "avg"},
         "option meas_return: is 'avg', which exists for meas_level 1 only; "
         "ask for meas_level=1 or meas_return='single'"),
        ({"meas_return": "mean"}, "option meas_return: is 'mean'; give 'single' or 'avg'"),
        ({"meas_return": "avg"}, "option meas_return: is 'avg', which exists for meas_level 1 only; "
                                 "ask for meas_level=1 or meas_return='single'"),
        ({"seed_simulator": -1}, "option seed_simulator: is -1; the limits are 0 and 18446744073709551615"),
        ({"seed_simulator": 0.5}, "option seed_simulator: is 0.5; give a whole number from 0 to 18446744073709551615"),
        ({"rep_delay": -1e-6}, "option rep_delay: is -1e-06; give seconds from 0 to 1"),
        ({"rep_delay": float("nan")}, "option rep_delay: is nan; give seconds from 0 to 1"),
        ({"rep_delay": 250.0}, "option rep_delay: is 250.0; give seconds from 0 to 1"),
        ({"max_execution_time": 0},
         "option max_execution_time: is 0; give seconds above 0, to 86400, or None for as long as the backend allows"),
        ({"max_execution_time": 1e5},
         "option max_execution_time: is 100000.0; give seconds above 0, to 86400, "
         "or None for as long as the backend allows"),
        ({"init_qubits": False, "initial_reset": "active"},
         "option initial_reset: is 'active', and init_qubits=False asks for no reset before a shot; "
         "leave one of them out"),
        ({"init_qubits": 0}, "option init_qubits: is 0; give True or False"),
        ({"revision": 0, "revision_policy": "exact"},
         "option revision: is 0; the limits are 1 and 9223372036854775807"),
        ({"revision": 3},
         "option revision: is given, but a job of policy 'latest' takes any; "
         "choose revision_policy 'pinned' or 'exact'"),
        ({"tags": "one"}, "option tags: is 'one'; give a list of texts"),
        ({"tags": ["ok", 1]}, "option tags: is ['ok', 1]; each tag is a text of 1 to 128 bytes in UTF-8"),
        ({"equivalent_backends": "b"}, "option equivalent_backends: is 'b'; give a list of names of backends"),
        ({"equivalent_backends": [""]}, "option equivalent_backends: is ['']; give at most 8 names of backends"),
        ({"job_tags": [""]}, "option job_tags: is ['']; each tag is a text of 1 to 128 bytes in UTF-8"),
        ({"tags": ["\ud800"]}, "option tags: is ['\\ud800']; each tag is a text of 1 to 128 bytes in UTF-8"),
        ({"shots": np.array([100])}, "option shots: is array([100]); give a whole number from 1 to 100000"),
        ({"reset_rounds": np.array(["a"])}, "option reset_rounds: is array(['a'], dtype='<U1'); "
                                            "give a whole number from 1 to 8"),
        ({"urgency": np.array(["normal", "safety"])},
         "option urgency: is array(['normal', 'safety'], dtype='<U6'); give 'normal', 'background', 'safety'"),
        ({"initial_reset": np.array(["auto", "active"])},
         "option initial_reset: is array(['auto', 'active'], dtype='<U6'); give 'auto', 'passive', 'active'; "
         "for none leave it out and give init_qubits=False"),
        ({"tags": ["a"] * 20, "job_tags": ["b"] * 13}, "options tags and job_tags: together are 33; the limit is 32"),
    ],
)  # fmt: skip
def test_a_value_outside_its_limits_is_refused_by_name(values: dict[str, Any], text: str) -> None:
    assert refused(**values) == [text]


def test_traces_can_be_asked_for() -> None:
    assert checked(meas_level=QiskitLevel.RAW, meas_return="avg").meas_level is MeasLevel.RAW


def test_heralds_scheduling_and_decoupling_can_be_asked_for() -> None:
    options = checked(herald=True, scheduling="asap", dd="xy4")
    assert (options.herald, options.scheduling, options.dd) == (True, Scheduling.ASAP, Decoupling.XY4)


def test_everything_wrong_is_reported_at_once() -> None:
    assert len(refused(shots=0, memory="yes", meas_level=7, seed_simulator="x")) == 4


def test_both_kinds_of_tags_travel() -> None:
    assert checked(tags=["a"], job_tags=("b",), rep_delay=np.float32(1e-4), seed_simulator=7).tags == ("a", "b")
    assert checked(tags=None).tags == ()


def test_qiskit_refuses_what_it_can_when_an_option_is_set() -> None:
    options = default_options()
    add_validators(options, LIMITS)
    with pytest.raises(ValueError, match="shots"):
        options.update_options(shots=0)
    with pytest.raises(TypeError, match="memory"):
        options.update_options(memory=1)
    with pytest.raises(ValueError, match="meas_level"):
        options.update_options(meas_level=3)


def test_bounds_of_loops_and_rounds_of_resets_are_whole_numbers_within_their_limits() -> None:
    assert checked(reset_rounds=8, max_iterations=1000).reset_rounds == 8
    assert read_max_iterations({"max_iterations": 7}) == 7
    assert read_max_iterations({}) is read_max_iterations({"max_iterations": True}) is None
    assert "limits are 1 and 8" in refused(reset_rounds=0)[0]
    assert "limits are 1 and 1000" in refused(max_iterations=1001)[0]
    assert "whole number from 1 to 1000" in refused(max_iterations=True)[0]
