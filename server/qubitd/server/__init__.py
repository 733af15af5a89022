"""The daemon. `daemon` is the order of its life, `composition` what it is made of, `engine` its heart. The rest: rooms.

A job passes through `front` (received, read, admitted), `queueing` (kept, and who is next), `running` (looked at, made,
played), `compiling` and `instruments` (into pulses, onto the rack); `watching` tells its owner what becomes of it.
`sessions` and `scheduling` decide whose turn it is, `revisions` which calibration is in force, `auth` who may. `store`
keeps all of it, `services` are the methods of the wire contract, `group` the daemons beside this one, `workers` those
who compile for it; `telemetry` and `housekeeping` are for whoever runs it.
"""
