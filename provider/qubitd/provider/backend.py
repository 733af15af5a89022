"""A backend as Qiskit users know it: a Target that follows the lab's calibration, and `run`."""

from __future__ import annotations

import difflib
import threading
import warnings
from collections.abc import Collection, Container, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from qiskit.circuit import QuantumCircuit
from qiskit.providers import Options
from qiskit.transpiler import Target

from qubitd.client import (
    BackendInfo,
    ClientError,
    JobPlan,
    JobTerms,
    QubitdClient,
    RefusedError,
    RevisionPolicy,
    Urgency,
)
from qubitd.client.outside import outside
from qubitd.core.circuit import Circuit, CircuitBatch
from qubitd.core.errors import Problem
from qubitd.core.job import JobSpec, MeasReturn
from qubitd.core.snapshot import Snapshot
from qubitd.provider import translation
from qubitd.provider.configuration import BackendConfiguration, build_configuration
from qubitd.provider.connected import Connected
from qubitd.provider.encode import Encoder, listed
from qubitd.provider.errors import JobRefusedError, ProviderError
from qubitd.provider.estimator import QubitdEstimator
from qubitd.provider.gates import Gates
from qubitd.provider.headers import JobHeader, write_header
from qubitd.provider.job import QubitdJob
from qubitd.provider.lab_names import misnamed_gates
from qubitd.provider.of_qiskit import raises_qiskit_errors
from qubitd.provider.options import (
    add_validators,
    check_options,
    default_options,
    read_max_iterations,
    session_problems,
    value_problems,
    whole_of,
)
from qubitd.provider.reader import load_reader
from qubitd.provider.revisions import follow_revisions
from qubitd.provider.run_input import circuits_of, too_big, values_of_each
from qubitd.provider.runner import Device
from qubitd.provider.sampler import QubitdSampler
from qubitd.provider.sweep import as_timed, binding_rows, calibration_sweep, read_axes, unknown_names
from qubitd.provider.target import build_target
from qubitd.provider.twin import build_noise_model, without_lab_gates

_OPTIONS = dict.fromkeys(default_options())
"""Names of all that a run takes."""
_SOON_CHECKED = 200_000
"""Operations that the daemon looks through within a second."""


@raises_qiskit_errors
class QubitdBackend(Device, Connected):
    """A device behind a daemon.

    Its Target is replaced when the lab commits a new calibration; a circuit that was transpiled before still runs, and
    every result names the revision that it ran under.
    """

    def __init__(self, provider: object, client: QubitdClient, info: BackendInfo) -> None:
        super().__init__(
            provider=provider,
            name=info.name,
            description=info.description,
            backend_version=info.server_version,
        )
        self._client = client
        self._lock = threading.Lock()
        self._followed = False
        self._info = info
        self._gates = Gates(info)
        self._built: Target | None = None
        del self.online_date  # Qiskit's constructor wrote that there is none
        add_validators(self.options, info.limits)

    @cached_property
    def online_date(self) -> datetime:
        """When the lab committed its first calibration of the device, UTC."""
        return datetime.fromtimestamp(self.calibration(1).created_at * 1e-9, tz=UTC)

    @classmethod
    def _default_options(cls) -> Options:
        return default_options()

    def __repr__(self) -> str:
        return f"<QubitdBackend({self.name!r}, revision={self._info.revision}, daemon={self._client.address!r})>"

    @property
    def target(self) -> Target:
        """What the transpiler needs to know, at the revision in force; from its first use on it follows new ones."""
        with self._lock:
            if self._built is None:
                self._built = build_target(self._info)
            target = self._built
        self.follow()
        return target

    def set_options(self, **fields: Any) -> None:
        """Keep options for all runs that follow.

        Raises:
            AttributeError: there is no such option.
            JobRefusedError: a value is none that a run takes, such as True for `shots`; those kept before stay.
        """
        known = dict(self.options)
        try:
            super().set_options(**fields)
        except TypeError as error:  # Qiskit compares whatever is given with the limits
            raise JobRefusedError(value_problems(fields, self._info.limits)) from error
        if problems := value_problems(fields, self._info.limits):
            self.options.update_options(**{name: known[name] for name in fields})
            raise JobRefusedError(problems)

    def get_translation_stage_plugin(self) -> str | None:
        """Give the name of the transpiler's stage that knows the lab's own gates; None for Qiskit's own stage."""
        return translation.PLUGIN if translation.is_installed() else None

    @property
    def revision(self) -> int:
        """Calibration revision of the Target."""
        return self._info.revision

    @property
    def revision_time(self) -> datetime:
        """When that revision was committed, UTC."""
        return datetime.fromtimestamp(self._info.revision_time_ns * 1e-9, tz=UTC)

    @property
    def info(self) -> BackendInfo:
        """The daemon's description, limits included."""
        return self._info

    @property
    def device(self) -> QubitdBackend:
        """This backend, as a session gives its own under this name."""
        return self

    @property
    def operational(self) -> bool:
        """Whether the rack answers and jobs run, as the daemon last said."""
        return self._info.operational

    @property
    def trouble(self) -> str:
        """Why jobs do not run now; empty while they do."""
        return self._info.trouble

    @property
    def simulated(self) -> bool:
        """Whether instruments and chip are emulated."""
        return self._info.simulated

    @property
    def max_circuits(self) -> int:
        """Circuits that one job may hold."""
        return self._info.limits.max_circuits

    @property
    def dtm(self) -> float:
        """Length of a sample of the digitisers, seconds."""
        return self._info.dt

    @property
    def meas_map(self) -> list[list[int]]:
        """Qubits that can be measured at the same time: all."""
        return [list(range(len(self._info.qubits)))]

    def configuration(self) -> BackendConfiguration:
        """Give the Target's facts under the names of Qiskit before BackendV2, for clients that still ask."""
        return build_configuration(self._info, self.target)

    def calibration(self, revision: int | None = None) -> Snapshot:
        """Give all calibrated numbers, those too that a Target has no place for.

        Such as anharmonicity, readout frequency, chi and T2*: `q0.anharmonicity`, `q0.readout.frequency`,
        `q0.readout.chi`, `q0.t2_star`, where the lab has them.

        Args:
            revision: of the calibration; the Target's unless given.

        Raises:
            NotFoundError: there is no such revision.
            ProviderError: it is no whole number.
        """
        if revision is not None and whole_of(revision) is None:
            raise ProviderError(f"revision is {revision!r}; give a whole number of 1 or more")
        return self._client.snapshot(self.name, self.revision if revision is None else revision)

    def sampler(self, **options: Any) -> QubitdSampler:
        """Give Qiskit's sampler on this backend, with the options of `QubitdSampler`."""
        return QubitdSampler(self, **options)

    def estimator(self, **options: Any) -> QubitdEstimator:
        """Give Qiskit's estimator on this backend, with the options of `QubitdEstimator`."""
        return QubitdEstimator(self, **options)

    def noise_model(self) -> Any:
        """Give Aer's model of the noise that the Target and its calibration state.

        Raises:
            ProviderError: Aer is not installed.
        """
        return build_noise_model(self, self.calibration())

    def simulable(self, circuit: QuantumCircuit) -> QuantumCircuit:
        """Give a transpiled circuit in words that Aer knows: a labelled matrix for each of the lab's own gates."""
        return without_lab_gates(circuit)

    def refresh(self) -> None:
        """Ask the daemon for the revision in force now."""
        self.update(self._client.backend(self.name))

    def follow(self) -> None:
        """Be told of new revisions, and of whether jobs run, from now on; `target` and `run` do so themselves."""
        with self._lock:
            first, self._followed = not self._followed, True
        if first:
            follow_revisions(self._client, self, self.name)

    def update(self, info: BackendInfo) -> None:
        """Take in a description; an older one than that in hand changes nothing."""
        with self._lock:
            if info == self._info or _is_older(info, self._info):
                return
            self._info = info
            self._gates = Gates(info)
            self._built = None
            self._coupling_map = None
            add_validators(self.options, info.limits)

    def run(
        self,
        run_input: QuantumCircuit | Iterable[QuantumCircuit],
        *,
        parameter_values: Any = None,
        sweep: Mapping[Any, Any] | None = None,
        **options: Any,
    ) -> QubitdJob:
        """Send circuits as one job.

        Args:
            run_input: a circuit or several, in the Target's gates.
            parameter_values: of one circuit, an array whose last axis is `circuit.parameters`, or a mapping from
                parameters (or their names) to arrays: the circuit travels once and the result holds an experiment for
                each row. Of several circuits, a sequence with such values, or None, for each.
            sweep: of one circuit, a mapping from parameters to their values: the lab's by name (`q0.x.amplitude`; needs
                the calibrator's role), the circuit's own as Qiskit's `Parameter`. Each entry is an axis of a grid; a
                tuple of parameters steps together. `QubitdJob.sweep` gives the labelled array.
            **options: as in `backend.options`; they hold for this job alone.

        Raises:
            JobRefusedError: with everything that is wrong with circuits and options.
            ClientError: the daemon cannot be reached, or refuses the job for a reason of its own; also a QiskitError.

        Warns:
            UserWarning: the rack does not answer now, so the job will wait; or an option is none of this backend.
        """
        return self._submit(run_input, parameter_values, self._merged(options), JobTerms(), sweep)

    def run_in_session(
        self,
        run_input: QuantumCircuit | Iterable[QuantumCircuit],
        session_id: str,
        options: dict[str, Any],
        *,
        parameter_values: Any = None,
        sweep: Mapping[Any, Any] | None = None,
    ) -> QubitdJob:
        """Send circuits as one job of a session; as `run`. `QubitdSession.run` is the door for users."""
        values = self._merged({"urgency": Urgency.NORMAL.value} | options)
        return self._submit(run_input, parameter_values, values, JobTerms(session_id=session_id), sweep)

    def _submit(
        self,
        run_input: QuantumCircuit | Iterable[QuantumCircuit],
        parameter_values: Any,
        values: dict[str, Any],
        terms: JobTerms,
        sweep: Mapping[Any, Any] | None = None,
    ) -> QubitdJob:
        spec, header = self._prepare(run_input, parameter_values, values, sweep, terms=terms)
        asked = replace(
            terms,
            priority=values["priority"],
            urgency=Urgency(values["urgency"]),
            revision_policy=RevisionPolicy(values["revision_policy"]),
            revision=self.revision if values["revision"] is None else values["revision"],
            rerun_on_interrupt=bool(values["rerun_on_interrupt"]),
            equivalents=tuple(values["equivalent_backends"]),
        )
        self.follow()
        if not self.operational:
            self.refresh()  # what is in hand may be from before it was followed
        if not self.operational:
            others = f", or {' or '.join(asked.equivalents)} takes it" if asked.equivalents else ""
            text = f"{self.name} runs no jobs now ({self.trouble}); this one waits until it does{others}"
            warnings.warn(text, UserWarning, stacklevel=outside())
        with self._refusals(header):
            job_id = self._client.submit(spec, self.name, terms=asked)
        return QubitdJob(self, job_id, self._client, header)

    def explain(
        self,
        circuits: QuantumCircuit | Iterable[QuantumCircuit],
        *,
        parameter_values: Any = None,
        sweep: Mapping[Any, Any] | None = None,
        expected: bool = False,
        **options: Any,
    ) -> JobPlan:
        """Say what a job would take, without running it: durations, memories, upload, predicted success, queue.

        Args:
            circuits: as for `run`.
            parameter_values: as for `run`.
            sweep: as for `run`.
            expected: whether to simulate the circuits, too, on the chip that the calibration describes, each running
                alone: `JobPlan.expected` has a probability by bit string for each program. Of a chip of few qubits, and
                without a sweep.
            **options: as for `run`.

        Raises:
            JobRefusedError: with everything that is wrong with circuits and options.
            ClientError: the daemon cannot be reached, or refuses the job for a reason of its own.
        """
        spec, header = self._prepare(circuits, parameter_values, self._merged(options), sweep)
        with self._refusals(header):
            return self._client.explain(spec, self.name, expected=expected)

    def _prepare(
        self,
        run_input: QuantumCircuit | Iterable[QuantumCircuit],
        parameter_values: Any,
        options: dict[str, Any],
        sweep: Mapping[Any, Any] | None = None,
        *,
        terms: JobTerms | None = None,
    ) -> tuple[JobSpec, JobHeader]:
        gates = self._gates
        info = gates.info
        circuits, problems = circuits_of(run_input, self.max_circuits)
        axes, unswept = ((), []) if sweep is None else read_axes(circuits, sweep, parameter_values, self._lab_names)
        grid = calibration_sweep(axes)
        if axes:
            run_input, parameter_values = circuits[0], binding_rows(circuits[0], axes)
        values, misfit = values_of_each(run_input, circuits, parameter_values)
        encoder = Encoder(info, gates=gates, reader=load_reader(), max_iterations=read_max_iterations(options))
        encoded = encoder.encode(circuits, values, are_given=not unswept)
        points = range(grid.num_points)
        headers = tuple([header for header in encoded.headers for _ in points])
        checked, wrong = check_options(options, info.limits, num_circuits=len(headers))
        unfit = [*problems, *too_big(encoded.batch, info.limits.max_job_bytes)]
        problems = [
            *unfit,
            *misfit,
            *unswept,
            *wrong,
            *(session_problems(options) if terms is not None and terms.session_id else ()),
            *encoder.problems,
            *misnamed_gates(circuits, info.signatures),
        ]
        if (unreadable := info.wire_problem()) is not None:
            raise JobRefusedError([unreadable])
        is_mean = checked.meas_return is MeasReturn.AVERAGE
        played = as_timed(axes, circuits[0], dt=info.dt) if axes else ()
        header = JobHeader(circuits=headers, memory=checked.memory, axes=played, is_mean=is_mean)
        spec = JobSpec(
            batch=encoded.batch,
            sweep=grid,
            shots=checked.shots,
            meas_level=checked.meas_level,
            meas_return=checked.meas_return,
            herald=checked.herald,
            scheduling=checked.scheduling,
            dd=checked.dd,
            reset_rounds=checked.reset_rounds,
            initial_reset=checked.initial_reset,
            rep_delay=checked.rep_delay,
            max_execution_time=checked.max_execution_time,
            seed_simulator=checked.seed_simulator,
            tags=checked.tags,
            client_data=write_header(header),
        )
        if problems:
            further = () if unfit else self._of_the_rest(spec, header, {problem.circuit for problem in problems})
            problems += unknown_names(axes, self._lab_names)
            found = sorted((*problems, *further), key=lambda one: -1 if one.circuit is None else one.circuit)
            raise JobRefusedError(listed(found, encoder.unlisted))
        return spec, header

    def _of_the_rest(self, spec: JobSpec, header: JobHeader, culprits: Container[int | None]) -> tuple[Problem, ...]:
        """Give what the daemon alone finds in circuits that are no culprits so far, for all errors to be told at once.

        Culprits go as circuits without operations, and options that are wrong as others: what the daemon says of those
        is left out. None is among the culprits if the whole job has a problem. Nothing if the daemon cannot be asked,
        or if so many operations are left that it would take its time.
        """
        circuits = [_nothing_of(c) if i in culprits else c for i, c in enumerate(spec.batch.circuits)]
        if not 0 < sum(len(circuit) * circuit.num_bindings for circuit in circuits) <= _SOON_CHECKED:
            return ()
        rest = replace(spec, batch=CircuitBatch(operations=spec.batch.operations, circuits=tuple(circuits)))
        try:
            self._client.explain(rest, self.name)
        except RefusedError as error:
            return header.told(problem for problem in error.problems if problem.circuit not in culprits)
        except ClientError:
            return ()
        return ()

    @contextmanager
    def _refusals(self, header: JobHeader) -> Generator[None]:
        """Make the daemon's refusal one of this provider."""
        try:
            yield
        except RefusedError as error:
            problems = header.told(error.problems)
            raise JobRefusedError(problems or [Problem(where=self.name, what=error.message)]) from error

    def known_options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Leave out what is no option of this backend, and warn of it at the line outside this package."""
        known = _OPTIONS
        unknown = sorted([name for name in options if name not in known])
        if not unknown:
            return dict(options)
        warnings.warn(_unknown_options(self.name, unknown, known), UserWarning, stacklevel=outside())
        return {name: value for name, value in options.items() if name in known}

    def _lab_names(self) -> Iterable[str]:
        return self.calibration().parameters

    def _merged(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Put options in the place of those that are kept, among which Qiskit lets anything be set."""
        return self.known_options({**vars(self.options), **options})


def _nothing_of(circuit: Circuit) -> Circuit:
    """Give a circuit's place in its batch, with nothing in it."""
    columns = {name: getattr(circuit, name)[:0] for name in ("opcodes", "qubits", "params", "clbits", "controls")}
    return replace(circuit, **columns, conditions=(), bindings=None)


def _is_older(info: BackendInfo, known: BackendInfo) -> bool:
    """Whether a description came late; a lab that began anew counts its revisions from 1 again."""
    return info.revision < known.revision and info.revision_time_ns <= known.revision_time_ns


def _unknown_options(backend: str, unknown: Sequence[str], known: Collection[str]) -> str:
    meant = [difflib.get_close_matches(word, known, n=1) for word in unknown]
    near = list(dict.fromkeys(name for names in meant for name in names))
    hints = [f"did you mean {' and '.join(near)}?"] if near else []
    hints += [] if all(meant) else [f"it has {', '.join(known)}"]
    return f"{backend} has no option {', '.join(unknown)}, which is ignored; {' '.join(hints)}"
