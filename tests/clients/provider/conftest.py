"""Clients of Qiskit backends that we did not write, unmodified, on an emulated rack. Sizes are small: it is our answers
that are tested, not their science.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Iterator

import pytest

from qubitd.cli.daemon_process import start_daemon
from qubitd.provider import QubitdBackend, QubitdProvider

collect_ignore_glob = [] if importlib.util.find_spec("qiskit_experiments") else ["test_*.py"]


@pytest.fixture(scope="session")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[QubitdBackend]:
    """The demo device behind a daemon of its own."""
    directory = tmp_path_factory.mktemp("daemon") / "data"
    with start_daemon(data_dir=directory) as daemon, QubitdProvider(daemon.address) as provider:
        yield provider.get_backend("line5")


@pytest.fixture(autouse=True)
def our_warnings_are_errors() -> Iterator[None]:
    """What a client warns of is its own business, unless the warning points at our code or at options of ours."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", module=r"qubitd\.")
        warnings.filterwarnings("error", message=".* has no option .*")
        yield
