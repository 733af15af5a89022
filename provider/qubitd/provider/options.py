"""The options of a run. Qiskit checks them only on some paths, so they are checked again when a job is made."""

from __future__ import annotations

import enum
import functools
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import NoneType
from typing import Any, SupportsIndex

import numpy as np
from qiskit.providers import Options

from qubitd.client import Limits, RevisionPolicy, Urgency
from qubitd.core.errors import Problem
from qubitd.core.job import (
    MAX_EXECUTION_TIME,
    MAX_REP_DELAY,
    MAX_RESET_ROUNDS,
    RESET_ROUNDS,
    Decoupling,
    InitialReset,
    MeasLevel,
    MeasReturn,
    Scheduling,
)
from qubitd.provider.deadline import seconds_of
from qubitd.wire.terms import MAX_EQUIVALENTS, MAX_PRIORITY

MAX_TAGS = 32
MAX_TAG = 128
MAX_ITERATIONS = 1000
"""Highest bound of a while loop."""
_RESETS = [kind.value for kind in InitialReset if kind is not InitialReset.NONE]
"""NONE is what `init_qubits=False` asks for."""
_PLAIN = frozenset((int, bool, str, NoneType, tuple))
"""Types of values that stay as they are and that equality tells apart: 0.0 equals -0.0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """Options that were checked."""

    shots: int
    memory: bool
    meas_level: MeasLevel
    meas_return: MeasReturn
    herald: bool
    scheduling: Scheduling
    dd: Decoupling | None
    reset_rounds: int
    initial_reset: InitialReset
    rep_delay: float
    max_execution_time: float
    seed_simulator: int | None
    revision: int | None
    tags: tuple[str, ...]


def default_options() -> Options:
    """Give every option that a backend takes, with its default.

    `max_iterations` bounds every while loop, which are refused without; `reset_rounds` is how often a reset of a used
    qubit measures it, and flips it if that gave 1; `initial_reset` is how every shot begins: `passive` waits, `active`
    resets each used qubit so, `auto` does what is quicker where that is by much.

    `rep_delay` is Qiskit's: seconds from the end of a shot to the beginning of the next, up to 1. The wait of a passive
    reset counts towards it and is never cut short; an active one comes behind it. Without `init_qubits` there is no
    reset: a shot begins in the state that the one before has left, in a job of several circuits the circuit before.

    `max_execution_time` is Qiskit Runtime's: seconds that the job may take on the instruments. One that would take
    longer fails before it queues, one that does ends, and what was finished stays readable.

    `rerun_on_interrupt` lets a job go on by itself when the daemon died while it ran; the third death ends it.

    `revision` is the calibration that circuits were transpiled for, the Target's unless given. What becomes of a job
    when another is in force says `revision_policy`: it runs under that one (`latest`), under its own (`pinned`), or
    fails (`exact`).
    """
    return Options(
        shots=1024,
        memory=False,
        meas_level=2,
        meas_return="single",
        herald=False,
        scheduling="alap",
        dd=None,
        reset_rounds=RESET_ROUNDS,
        initial_reset=InitialReset.AUTO.value,
        max_iterations=None,
        seed_simulator=None,
        rep_delay=None,
        max_execution_time=None,
        init_qubits=True,
        tags=(),
        job_tags=(),
        priority=0,
        urgency="normal",
        revision_policy="latest",
        revision=None,
        rerun_on_interrupt=False,
        equivalent_backends=(),
    )


def add_validators(options: Options, limits: Limits) -> None:
    """Make Qiskit refuse what it can refuse when an option is set."""
    options.set_validator("shots", (1, limits.max_shots))
    options.set_validator("memory", bool)
    options.set_validator("meas_level", [0, 1, 2, "both"])
    options.set_validator("meas_return", ["single", "avg"])
    options.set_validator("herald", bool)
    options.set_validator("scheduling", [kind.value for kind in Scheduling])
    options.set_validator("dd", [None, *(kind.value for kind in Decoupling)])
    options.set_validator("reset_rounds", (1, MAX_RESET_ROUNDS))
    options.set_validator("initial_reset", _RESETS)
    options.set_validator("init_qubits", bool)
    options.set_validator("rerun_on_interrupt", bool)
    options.set_validator("priority", (-MAX_PRIORITY, MAX_PRIORITY))
    options.set_validator("urgency", [kind.value for kind in Urgency])
    options.set_validator("revision_policy", [policy.value for policy in RevisionPolicy])


def check_options(values: Mapping[str, Any], limits: Limits, *, num_circuits: int) -> tuple[RunOptions, list[Problem]]:
    """Check options and give them with everything that is wrong; where there is a problem the default stands in."""
    problems: list[Problem] = []
    options = _sound(values, limits)
    if options is None:
        check = _Check(values)
        options, problems = _read(check, limits), check.problems
    return options, [*problems, *_together(values, options, limits, num_circuits)]


def value_problems(values: Mapping[str, Any], limits: Limits) -> list[Problem]:
    """Find which options have values that none of them can have, whatever the others are."""
    check = _Check(values)
    _read(check, limits)
    return check.problems


def _sound(values: Mapping[str, Any], limits: Limits) -> RunOptions | None:
    """Give options as they were read before, most jobs having the same; None if they are to be read one by one."""
    if not _PLAIN.issuperset(map(type, values.values())):
        return None
    try:
        return _sound_plain(limits, **values)
    except TypeError:  # a list in a tuple
        return None


@functools.lru_cache(maxsize=64, typed=True)
def _sound_plain(limits: Limits, /, **values: Any) -> RunOptions | None:
    check = _Check(values)
    options = _read(check, limits)
    return None if check.problems else options


def _read(check: _Check, limits: Limits) -> RunOptions:
    reset = InitialReset(check("initial_reset", InitialReset.AUTO.value, _reset))
    options = RunOptions(
        shots=check("shots", 1024, lambda value: _whole(value, 1, limits.max_shots)),
        memory=check("memory", False, _truth),
        meas_level=check("meas_level", MeasLevel.CLASSIFIED, _level),
        meas_return=check("meas_return", MeasReturn.SINGLE, _return),
        herald=check("herald", False, _truth),
        scheduling=check("scheduling", Scheduling.ALAP, _scheduling),
        dd=check("dd", None, _decoupling),
        reset_rounds=check("reset_rounds", RESET_ROUNDS, lambda value: _whole(value, 1, MAX_RESET_ROUNDS)),
        initial_reset=reset if check("init_qubits", True, _truth) else InitialReset.NONE,
        rep_delay=check("rep_delay", 0.0, _rep_delay),
        max_execution_time=check("max_execution_time", MAX_EXECUTION_TIME, _max_execution_time),
        seed_simulator=check(
            "seed_simulator", None, lambda value: None if value is None else _whole(value, 0, 2**64 - 1)
        ),
        revision=check("revision", None, lambda value: None if value is None else _whole(value, 1, 2**63 - 1)),
        tags=(*check("tags", (), _tags), *check("job_tags", (), _tags)),
    )
    check("max_iterations", None, _bound)
    check("priority", 0, lambda value: _whole(value, -MAX_PRIORITY, MAX_PRIORITY))
    check("urgency", Urgency.NORMAL.value, lambda value: _word(value, Urgency))
    check("revision_policy", RevisionPolicy.LATEST.value, lambda value: _word(value, RevisionPolicy))
    check("rerun_on_interrupt", False, _truth)
    check("equivalent_backends", (), _equivalents)
    return options


def session_problems(values: Mapping[str, Any]) -> list[Problem]:
    """Find what a job of a session cannot be given: it waits for its session and overtakes nobody."""
    urgency = values["urgency"]
    if urgency not in (Urgency.BACKGROUND.value, Urgency.SAFETY.value):
        return []
    what = f"is {urgency!r}; jobs of a session go as the session does, leave it out or run the job outside of it"
    return [Problem(where="option urgency", what=what)]


def read_max_iterations(values: Mapping[str, Any]) -> int | None:
    """Give the bound of while loops; None if there is none, or if `check_options` will refuse it."""
    bound: int | None = _Check(values)("max_iterations", None, _bound)
    return bound


def whole_of(value: object) -> int | None:
    """Read a whole number of any type, such as NumPy's; None if it is none. True and False are none."""
    if type(value) is int:
        return value
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, SupportsIndex):
        return None
    try:
        return operator.index(value)
    except TypeError:  # every array of NumPy's looks like a number; those of whole numbers without an axis are
        return None


class _RefusedError(Exception):
    """Why a value is not taken."""


class _Check:
    """Reads one option after another and collects what is wrong."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values
        self.problems: list[Problem] = []

    def __call__(self, name: str, default: Any, read: Callable[[Any], Any]) -> Any:
        value = self._values.get(name, default)
        try:
            return read(value)
        except _RefusedError as error:
            self.problems.append(Problem(where=f"option {name}", what=f"is {value!r}; {error}"))
            return default


def _together(values: Mapping[str, Any], options: RunOptions, limits: Limits, num_circuits: int) -> list[Problem]:
    problems: list[Problem] = []
    if options.revision is not None and values.get("revision_policy") == RevisionPolicy.LATEST.value:
        what = "is given, but a job of policy 'latest' takes any; choose revision_policy 'pinned' or 'exact'"
        problems.append(Problem(where="option revision", what=what))
    reset = values.get("initial_reset", InitialReset.AUTO.value)
    if options.initial_reset is InitialReset.NONE and reset in _RESETS and reset != InitialReset.AUTO.value:
        what = f"is {reset!r}, and init_qubits=False asks for no reset before a shot; leave one of them out"
        problems.append(Problem(where="option initial_reset", what=what))
    if options.meas_level is MeasLevel.RAW:
        problems += _raw(options)
    if options.meas_level.has_bits and options.meas_return is MeasReturn.AVERAGE:
        what = "is 'avg', which exists for meas_level 1 only; ask for meas_level=1 or meas_return='single'"
        problems.append(Problem(where="option meas_return", what=what))
    total = options.shots * num_circuits
    if total > limits.max_total_shots:
        what = (
            f"{num_circuits} circuits x {options.shots} shots are {total}, "
            f"and a job may have {limits.max_total_shots}; send several jobs"
        )
        problems.append(Problem(where="option shots", what=what))
    if len(options.tags) > MAX_TAGS:
        what = f"together are {len(options.tags)}; the limit is {MAX_TAGS}"
        problems.append(Problem(where="options tags and job_tags", what=what))
    return problems


def _raw(options: RunOptions) -> list[Problem]:
    problems: list[Problem] = []
    if options.meas_return is MeasReturn.SINGLE:
        what = "is 'single', and a trace (meas_level 0) is the mean over shots of a feedline, not of one shot or qubit"
        problems.append(Problem(where="option meas_return", what=f"{what}; ask for meas_return='avg'"))
    if options.herald:
        what = "is True, and a trace (meas_level 0) is the mean over all shots; ask for meas_level=1"
        problems.append(Problem(where="option herald", what=what))
    if options.initial_reset is InitialReset.ACTIVE:
        what = "is 'active', which measures, and a trace (meas_level 0) takes one measurement of each qubit"
        problems.append(Problem(where="option initial_reset", what=f"{what}; ask for initial_reset='passive'"))
    return problems


def _whole(value: object, least: int, most: int) -> int:
    number = whole_of(value)
    if number is None:
        raise _RefusedError(f"give a whole number from {least} to {most}")
    if not least <= number <= most:
        raise _RefusedError(f"the limits are {least} and {most}")
    return number


def _bound(value: object) -> int | None:
    return None if value is None else _whole(value, 1, MAX_ITERATIONS)


def _truth(value: object) -> bool:
    if not isinstance(value, (bool, np.bool_)):
        raise _RefusedError("give True or False")
    return bool(value)


def _level(value: object) -> MeasLevel:
    if (number := whole_of(value)) in (0, 1, 2):
        return MeasLevel(number)
    if isinstance(value, str) and value == "both":
        return MeasLevel.BOTH
    raise _RefusedError("give 0 (traces), 1 (IQ points), 2 (bits) or 'both'")


def _return(value: object) -> MeasReturn:
    try:
        return MeasReturn(getattr(value, "value", value))
    except ValueError:
        raise _RefusedError("give 'single' or 'avg'") from None


def _scheduling(value: object) -> Scheduling:
    try:
        return Scheduling(getattr(value, "value", value))
    except ValueError:
        raise _RefusedError("give 'alap' (as late as possible) or 'asap' (as soon as possible)") from None


def _decoupling(value: object) -> Decoupling | None:
    if value is None:
        return None
    try:
        return Decoupling(getattr(value, "value", value))
    except ValueError:
        raise _RefusedError("give None, 'x2', 'xy4' or 'xy8'") from None


def _word(value: object, kinds: type[enum.Enum]) -> str:
    words = [kind.value for kind in kinds]
    if not isinstance(value, str) or value not in words:
        raise _RefusedError(f"give {', '.join(map(repr, words))}")
    return str(value)


def _reset(value: object) -> str:
    if not isinstance(value, str) or value not in _RESETS:
        raise _RefusedError(f"give {', '.join(map(repr, _RESETS))}; for none leave it out and give init_qubits=False")
    return str(value)


def _tags(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, str) or not isinstance(value, (list, tuple, set, frozenset)):
        raise _RefusedError("give a list of texts")
    if not all(isinstance(tag, str) and 0 < _bytes_of(tag) <= MAX_TAG for tag in value):
        raise _RefusedError(f"each tag is a text of 1 to {MAX_TAG} bytes in UTF-8")
    return tuple(value)


def _bytes_of(text: str) -> int:
    """Give the length of a text in UTF-8; 0 for one that cannot be written so."""
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        return 0


def _equivalents(value: object) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, (list, tuple)):
        raise _RefusedError("give a list of names of backends")
    if len(value) > MAX_EQUIVALENTS or not all(isinstance(name, str) and name for name in value):
        raise _RefusedError(f"give at most {MAX_EQUIVALENTS} names of backends")
    return tuple(value)


def _rep_delay(value: object) -> float:
    if value is None:
        return 0.0
    if (seconds := seconds_of(value)) is None or seconds > MAX_REP_DELAY:
        raise _RefusedError(f"give seconds from 0 to {MAX_REP_DELAY:g}")
    return seconds


def _max_execution_time(value: object) -> float:
    if value is None:
        return MAX_EXECUTION_TIME
    if not (seconds := seconds_of(value)) or seconds > MAX_EXECUTION_TIME:
        raise _RefusedError(
            f"give seconds above 0, to {MAX_EXECUTION_TIME:g}, or None for as long as the backend allows"
        )
    return seconds
