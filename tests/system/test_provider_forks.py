"""What a process can do that was forked from one with a provider: everything, with a provider of its own."""

from __future__ import annotations

import subprocess
import sys
import textwrap

from qubitd.cli.daemon_process import DaemonProcess


def test_a_process_that_was_forked_is_told_to_connect_anew_and_hangs_nowhere(daemon: DaemonProcess) -> None:
    # In a process of its own: forks beside gRPC's threads.
    program = f"""
        import os, sys
        from qiskit import QuantumCircuit
        from qubitd.provider import QubitdProvider

        provider = QubitdProvider({daemon.address!r})
        backend = provider.get_backend()
        circuit = QuantumCircuit(1, 1)
        circuit.measure(0, 0)
        job = backend.run([circuit] * 50, shots=100_000)
        job.status()  # which follows it
        if (child := os.fork()) == 0:
            run = lambda: backend.run(circuit)
            for ask in (job.result, job.status, job.cancel, provider.jobs, backend.refresh, run):
                try:
                    ask()
                except Exception as error:
                    print("this one was forked" in str(error), end=" ")
            print(QubitdProvider({daemon.address!r}).job(job.job_id()).cancel(force=True))
            sys.stdout.flush()
            os._exit(0)
        os.waitpid(child, 0)
        job.wait_for_final_state()
        print(job.status().name)
    """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=60, check=False
    )
    said = "True True True True True True True\nCANCELLED\n"
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, said, "")
