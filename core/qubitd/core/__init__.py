"""Values of a qubit lab and their laws: circuits, devices, calibration snapshots, programs of pulses, results."""
