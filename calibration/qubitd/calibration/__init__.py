"""Calibration: experiments that measure parameters through ordinary jobs, and the gate their results must pass."""
