"""The rack of a daemon: its thread, what may be on its lines, and the chip behind one that is emulated."""
