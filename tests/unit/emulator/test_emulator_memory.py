"""What a run used is there for the next one: memory that comes anew, page by page, takes longer than what is in it."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource

from qubitd.emulator.memory import keep_big_blocks


def taken() -> int:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        blocks = [bytearray(3_000_000) for _ in range(6)]
        del blocks
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


keep_big_blocks()
taken()
print(taken())
"""
PAGES = 20 * 6 * 3_000_000 // 4096


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="how memory comes is the C library's own")
def test_memory_that_was_used_is_used_again() -> None:
    found = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True)
    assert int(found.stdout) < PAGES / 100
