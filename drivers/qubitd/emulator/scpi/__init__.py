"""SCPI and IEEE 488.2 without I/O: bytes in, bytes out, for any emulated instrument."""
