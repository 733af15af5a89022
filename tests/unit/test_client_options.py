"""A calibration script, as every command, finds the lab by the same options."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from qubitd.client.options import add_access, connect


@pytest.fixture(autouse=True)
def away(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A user who has set up nothing; gives where their profiles would be."""
    for name in ("ADDRESS", "PROFILE", "TOKEN", "CA"):
        monkeypatch.delenv(f"QUBITD_{name}", raising=False)
    file = tmp_path / "config.toml"
    monkeypatch.setenv("QUBITD_CONFIG", str(file))
    return file


def address(*words: str) -> str:
    parser = argparse.ArgumentParser()
    add_access(parser)
    with connect(parser.parse_args(words)) as client:
        return client.address


def test_without_any_hint_it_is_this_machines() -> None:
    assert address() == "localhost:50051"


def test_an_option_wins_over_the_environment_and_that_over_the_usual_profile(
    away: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    away.write_text('[profiles.default]\naddress = "localhost:1"\n[profiles.fridge2]\naddress = "localhost:2"\n')
    assert address() == "localhost:1"
    monkeypatch.setenv("QUBITD_ADDRESS", "localhost:3")
    assert address() == "localhost:3"
    assert address("--profile", "fridge2") == "localhost:2"
    assert address("--server", "localhost:4") == "localhost:4"
