"""What every test shares: hypothesis without deadlines, since the machine is, and --update for golden files."""

from __future__ import annotations

import hypothesis
import pytest

hypothesis.settings.register_profile("qubitd", deadline=None, print_blob=True)
hypothesis.settings.load_profile("qubitd")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update", action="store_true", help="write golden files anew instead of comparing with them")


@pytest.fixture
def update(request: pytest.FixtureRequest) -> bool:
    """Whether golden files are to be written anew."""
    return bool(request.config.getoption("--update"))
