"""A Bell pair on the daemon of this machine; start one with `qubitd serve`."""

from qiskit import QuantumCircuit, transpile

from qubitd.provider import QubitdProvider

backend = QubitdProvider("localhost:50051").get_backend("line5")
bell = QuantumCircuit(2)
bell.h(0)
bell.cx(0, 1)
bell.measure_all()
job = backend.run(transpile(bell, backend), shots=1000)
print(job.result().get_counts())
