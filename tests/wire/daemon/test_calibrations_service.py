"""Calibration over gRPC: immutable revisions, conflicts only on the same key, and news without asking."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import grpc
import grpc.aio
import pytest

from qubitd.compiler.device_file import DeviceFile, load_device
from qubitd.core.snapshot import Parameter
from qubitd.v1 import backends_pb2, calibrations_pb2, jobs_pb2
from qubitd.wire.backends import decode_backend
from qubitd.wire.calibrations import decode_changes, decode_history, decode_revision, decode_snapshot, encode_parameter
from qubitd.wire.errors import DETAILS_KEY, decode_refusal

pytestmark = pytest.mark.both_stores
Serve = Callable[..., AbstractAsyncContextManager[Any]]
MakeRack = Callable[..., Any]
MakeRequest = Callable[..., jobs_pb2.SubmitRequest]


AMPLITUDE = "q0.x.amplitude"


def measured(name: str, value: float, unit: str = "") -> Parameter:
    return Parameter(name=name, value=value, unit=unit, stderr=1e-4, measured_at=1, run="job", source="rabi")


def commit(*parameters: Parameter, base: int = 1, backend: str = "line5") -> calibrations_pb2.CommitRequest:
    return calibrations_pb2.CommitRequest(
        backend=backend, base_revision=base, parameters=[encode_parameter(p) for p in parameters], message="measured"
    )


async def refused(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    metadata = caught.value.trailing_metadata()
    assert metadata is not None
    details = metadata[DETAILS_KEY]  # type: ignore[call-overload]  # the stubs know no grpc.aio.Metadata
    assert isinstance(details, bytes)
    return caught.value.code(), "; ".join(p.where for p in decode_refusal(details).problems)


def file_with(**values: float) -> DeviceFile:
    """The device file after somebody edited some values."""
    file = load_device("line5")
    edited = {name.replace("__", "."): value for name, value in values.items()}
    parameters = tuple(
        dataclasses.replace(p, value=edited[p.name]) if p.name in edited else p for p in file.first_values
    )
    return dataclasses.replace(file, first_values=parameters, digest=f"edited {sorted(edited.items())}")


async def test_the_first_revision_is_the_device_file(serve: Serve, open_rack_of: MakeRack) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        answer = await daemon.calibrations.Snapshot(calibrations_pb2.SnapshotRequest(backend="line5"))
    snapshot = decode_snapshot(answer)
    assert (snapshot.revision, snapshot.parent, snapshot.author) == (1, 0, "file")
    assert set(snapshot.parameters.values()) == set(load_device("line5").first_values)


async def test_a_commit_changes_its_keys_and_nothing_else(serve: Serve, open_rack_of: MakeRack) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        answer = await daemon.calibrations.Commit(commit(measured(AMPLITUDE, 0.21)))
        revision = decode_revision(answer.revision)
        request = calibrations_pb2.DiffRequest(backend="line5", from_revision=1)
        changes = decode_changes(await daemon.calibrations.Diff(request))
    assert (revision.revision, revision.parent, revision.message) == (2, 1, "measured")
    assert [change.name for change in changes] == [AMPLITUDE]
    assert changes[0].after == measured(AMPLITUDE, 0.21)


async def test_two_who_change_different_keys_both_succeed(serve: Serve, open_rack_of: MakeRack) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        await daemon.calibrations.Commit(commit(measured(AMPLITUDE, 0.21)))
        answer = await daemon.calibrations.Commit(commit(measured("q1.x.amplitude", 0.22), base=1))
    assert answer.revision.revision == 3


async def test_two_who_change_one_key_conflict_by_its_name(serve: Serve, open_rack_of: MakeRack) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        await daemon.calibrations.Commit(commit(measured(AMPLITUDE, 0.21)))
        late = commit(measured(AMPLITUDE, 0.22), measured("q1.x.amplitude", 0.2), base=1)
        assert await refused(daemon.calibrations.Commit(late)) == (grpc.StatusCode.ABORTED, AMPLITUDE)
        snapshot = await daemon.calibrations.Snapshot(calibrations_pb2.SnapshotRequest(backend="line5"))
    assert snapshot.revision.revision == 2


@pytest.mark.parametrize(
    "parameter",
    [
        measured("q0.frequency", 6.05, "Hz"),
        measured("q0.t1", 30.0, "s"),
        measured("q0.t2", 1e-3, "s"),
        measured("q0.x.amplitude", 1.5),
        measured("q0.x.amplitude", 0.2, "Hz"),
        measured("q0.x.duration", 40.4e-9, "s"),
        measured("q9.frequency", 6e9, "Hz"),
        measured("q0.nonsense", 1.0),
        dataclasses.replace(measured("q0.x.amplitude", 0.2), measured_at=2**62),
    ],
    ids=lambda p: f"{p.name}={p.value}{p.unit}",
)
async def test_what_physics_units_or_the_device_forbid_is_refused(
    serve: Serve, open_rack_of: MakeRack, parameter: Parameter
) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        code, where = await refused(daemon.calibrations.Commit(commit(parameter)))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert parameter.name.split(".")[0] in where or "duration" in parameter.name


@pytest.mark.parametrize("base", [0, 2, -1])
async def test_a_base_that_never_was_is_not_found(serve: Serve, open_rack_of: MakeRack, base: int) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        code, _ = await refused(daemon.calibrations.Commit(commit(measured(AMPLITUDE, 0.2), base=base)))
    assert code is grpc.StatusCode.NOT_FOUND


async def test_an_empty_commit_is_refused(serve: Serve, open_rack_of: MakeRack) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        code, where = await refused(daemon.calibrations.Commit(commit()))
    assert (code, where) == (grpc.StatusCode.INVALID_ARGUMENT, "parameters")


async def test_history_is_newest_first_and_names_its_revisions(serve: Serve, open_rack_of: MakeRack) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        await daemon.calibrations.Commit(commit(measured(AMPLITUDE, 0.21)))
        await daemon.calibrations.Commit(commit(measured("q1.x.amplitude", 0.2), base=2))
        request = calibrations_pb2.HistoryRequest(backend="line5", name=AMPLITUDE)
        entries = decode_history(await daemon.calibrations.History(request))
        last = decode_history(
            await daemon.calibrations.History(calibrations_pb2.HistoryRequest(backend="line5", name=AMPLITUDE, limit=1))
        )
        code, _ = await refused(
            daemon.calibrations.History(calibrations_pb2.HistoryRequest(backend="line5", name="q0.none"))
        )
    assert [entry.revision.revision for entry in entries] == [2, 1]
    assert len(last) == 1
    assert code is grpc.StatusCode.NOT_FOUND


async def test_a_name_that_is_misspelt_is_told_with_those_that_are_near(serve: Serve, open_rack_of: MakeRack) -> None:
    names = ["q0.x.amp"]
    async with serve(rack=open_rack_of()) as daemon:
        calls = (
            daemon.calibrations.History(calibrations_pb2.HistoryRequest(backend="line5", name=names[0])),
            daemon.calibrations.Rollback(calibrations_pb2.RollbackRequest(backend="line5", to_revision=1, names=names)),
        )
        for call in calls:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call
            told = caught.value.details() or ""
            assert told.startswith("there is no calibration parameter 'q0.x.amp'; did you mean q0.x.amplitude")


async def test_rollback_brings_back_some_or_all_values_as_a_new_revision(serve: Serve, open_rack_of: MakeRack) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        await daemon.calibrations.Commit(commit(measured(AMPLITUDE, 0.21), measured("q1.x.amplitude", 0.2)))
        some = await daemon.calibrations.Rollback(
            calibrations_pb2.RollbackRequest(backend="line5", to_revision=1, names=[AMPLITUDE])
        )
        changes = decode_changes(
            await daemon.calibrations.Diff(calibrations_pb2.DiffRequest(backend="line5", from_revision=1))
        )
        await daemon.calibrations.Rollback(calibrations_pb2.RollbackRequest(backend="line5", to_revision=1))
        none = decode_changes(
            await daemon.calibrations.Diff(calibrations_pb2.DiffRequest(backend="line5", from_revision=1))
        )
        code, _ = await refused(
            daemon.calibrations.Rollback(
                calibrations_pb2.RollbackRequest(backend="line5", to_revision=1, names=["q0.none"])
            )
        )
        unknown, _ = await refused(
            daemon.calibrations.Rollback(calibrations_pb2.RollbackRequest(backend="line5", to_revision=99))
        )
    assert some.revision.revision == 3
    assert [change.name for change in changes] == ["q1.x.amplitude"]
    assert none == ()
    assert (code, unknown) == (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.NOT_FOUND)


async def test_old_revisions_stay_readable_with_their_targets(serve: Serve, open_rack_of: MakeRack) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        await daemon.calibrations.Commit(commit(measured("q0.x.duration", 44e-9, "s")))
        answers = [
            await daemon.backends.Get(backends_pb2.BackendsGetRequest(name="line5", revision=revision))
            for revision in (1, 2, 0)
        ]
        code, _ = await refused(daemon.backends.Get(backends_pb2.BackendsGetRequest(name="line5", revision=3)))
    infos = [decode_backend(answer.backend) for answer in answers]
    durations = [next(o.duration for o in info.operations if (o.name, o.operands) == ("x", (0,))) for info in infos]
    assert durations == [40e-9, 44e-9, 44e-9]
    assert [info.revision for info in infos] == [1, 2, 2]
    assert code is grpc.StatusCode.NOT_FOUND


async def test_watchers_of_both_services_see_a_new_revision_pushed(serve: Serve, open_rack_of: MakeRack) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        revisions = daemon.calibrations.Watch(calibrations_pb2.CalibrationsWatchRequest(backend="line5"))
        targets = daemon.backends.Watch(backends_pb2.BackendsWatchRequest(name="line5"))
        first = (await revisions.read(), await targets.read())
        await daemon.calibrations.Commit(commit(measured(AMPLITUDE, 0.21)))
        second = (await revisions.read(), await targets.read())
    assert (first[0].revision.revision, first[1].backend.revision) == (1, 1)
    assert (second[0].revision.revision, second[1].backend.revision) == (2, 2)
    assert list(second[0].changed) == [AMPLITUDE]


async def test_every_backend_request_for_another_backend_is_not_found(serve: Serve, open_rack_of: MakeRack) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        calls = [
            daemon.backends.Get(backends_pb2.BackendsGetRequest(name="other")),
            daemon.backends.Watch(backends_pb2.BackendsWatchRequest(name="other")).read(),
            daemon.calibrations.Snapshot(calibrations_pb2.SnapshotRequest(backend="other")),
            daemon.calibrations.History(calibrations_pb2.HistoryRequest(backend="other", name="q0.t1")),
            daemon.calibrations.Diff(calibrations_pb2.DiffRequest(backend="other")),
            daemon.calibrations.Commit(commit(measured(AMPLITUDE, 0.2), backend="other")),
            daemon.calibrations.Rollback(calibrations_pb2.RollbackRequest(backend="other")),
            daemon.calibrations.Watch(calibrations_pb2.CalibrationsWatchRequest(backend="other")).read(),
        ]
        codes = {(await refused(call))[0] for call in calls}
        listed = await daemon.backends.List(backends_pb2.BackendsListRequest())
    assert codes == {grpc.StatusCode.NOT_FOUND}
    assert list(listed.names) == ["line5"]
    assert list(listed.wire_versions) == [2]


async def test_a_changed_device_file_replaces_only_what_it_changed(serve: Serve, open_rack_of: MakeRack) -> None:
    async with serve(rack=open_rack_of()) as daemon:
        await daemon.calibrations.Commit(commit(measured(AMPLITUDE, 0.21), measured("q1.x.amplitude", 0.2)))
    async with serve(rack=open_rack_of()) as daemon:
        unchanged = await daemon.calibrations.Snapshot(calibrations_pb2.SnapshotRequest(backend="line5"))
    async with serve(rack=open_rack_of(), device=file_with(q1__x__amplitude=0.19, q0__t1=25e-6)) as daemon:
        changed = decode_snapshot(await daemon.calibrations.Snapshot(calibrations_pb2.SnapshotRequest(backend="line5")))
    assert unchanged.revision.revision == 2
    assert (changed.revision, changed.author) == (3, "file")
    assert changed.value(AMPLITUDE) == 0.21
    assert changed.value("q1.x.amplitude") == 0.19
    assert changed.value("q0.t1") == 25e-6


async def test_a_job_runs_under_the_revision_in_force_when_it_starts(
    serve: Serve, shut_rack: Any, request_of: MakeRequest
) -> None:
    async with serve(rack=shut_rack) as daemon:
        first = await daemon.submit(request_of())
        await asyncio.to_thread(shut_rack.running.wait)
        second = await daemon.submit(request_of())
        watch = daemon.jobs.Watch(jobs_pb2.JobsWatchRequest(job_id=second))
        async for message in watch:
            if any(event.status.status == jobs_pb2.STATUS_QUEUED for event in message.events):
                break
        await daemon.calibrations.Commit(commit(measured(AMPLITUDE, 0.21)))
        shut_rack.gate.set()
        statuses = await daemon.statuses(second)
        revisions = [(await daemon.job(job_id)).revision for job_id in (first, second)]
    assert revisions == [1, 2]
    assert statuses == ["INITIALIZING", "VALIDATING", "QUEUED", "VALIDATING", "QUEUED", "RUNNING", "DONE"]


async def test_a_job_that_a_new_revision_makes_impossible_ends_before_it_starts(
    serve: Serve, shut_rack: Any, request_of: MakeRequest
) -> None:
    async with serve(rack=shut_rack) as daemon:
        await daemon.submit(request_of())
        await asyncio.to_thread(shut_rack.running.wait)
        doomed = await daemon.submit(request_of())
        async for message in daemon.jobs.Watch(jobs_pb2.JobsWatchRequest(job_id=doomed)):
            if any(event.status.status == jobs_pb2.STATUS_QUEUED for event in message.events):
                break
        await daemon.calibrations.Commit(commit(measured("q0.readout.amplitude", 0.6)))
        shut_rack.gate.set()
        assert await daemon.statuses(doomed) == ["INITIALIZING", "VALIDATING", "QUEUED", "VALIDATING", "ERROR"]
        assert "q0.readout" in (await daemon.job(doomed)).message
