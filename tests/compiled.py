"""Loops in C for tests of them: compiled anew, used however few numbers there are, and put away afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from qubitd.compiler import native as passes
from qubitd.core.native import NativeError
from qubitd.drivers.cluster import native as lines

SOURCES = (passes.PASSES, lines.LINES)


@contextmanager
def loops_in_c(cache: Path) -> Iterator[None]:
    """Use them; skip the test on a machine without a compiler."""
    with loops_in_numpy(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(cache))
        patch.setattr(passes, "_FEW", 0)
        patch.setattr(lines, "_FEW", 0)
        for source in SOURCES:
            try:
                source.build()
            except NativeError as error:
                pytest.skip(str(error))
        yield


@contextmanager
def loops_in_numpy() -> Iterator[None]:
    """Use NumPy's, whatever is compiled."""
    with passes.PASSES.left_out(), lines.LINES.left_out():
        yield
