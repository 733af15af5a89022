"""VISA links to instruments: ours on raw sockets, plain pyvisa on everything else."""
