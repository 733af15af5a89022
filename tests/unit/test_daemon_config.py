"""The daemon's file: what it may say, what the command line says over it, and what is wrong in it."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from qubitd.cli import serve
from qubitd.cli.daemon_config import DaemonConfig, load_config
from qubitd.core.errors import InvalidInputError

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "daemon-configuration.md"


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "qubitd.toml"
    path.write_text(text)
    return path


def test_the_reference_shows_every_key_with_its_default(tmp_path: Path) -> None:
    (text,) = REFERENCE.read_text().split("```toml\n")[1:]
    config = load_config(
        written(tmp_path, text.split("```")[0].replace("# rack", "rack").replace("# data_dir", "data_dir"))
    )
    assert config == DaemonConfig(rack=Path("rack.toml"), data_dir=Path("/var/lib/qubitd"), metrics_port=9464)
    assert load_config(written(tmp_path, "")) == DaemonConfig()


def test_paths_count_from_the_files_own_folder(tmp_path: Path) -> None:
    (tmp_path / "chip.toml").touch()
    config = load_config(written(tmp_path, '[daemon]\ndevice = "chip.toml"\ndata_dir = "data"\n'))
    assert config.device == str(tmp_path / "chip.toml")
    assert config.data_dir == tmp_path / "data"


def test_everything_wrong_is_told_with_its_dotted_path(tmp_path: Path) -> None:
    text = '[daemon]\nport = 70000\nprot = 1\nclient_certificates = 1\n[log]\nlevel = "loud"\n[spam]\n'
    with pytest.raises(InvalidInputError) as refused:
        load_config(written(tmp_path, text))
    told = [str(problem) for problem in refused.value.problems]
    assert sorted(line.split(": ")[1] for line in told) == [
        "daemon.client_certificates",
        "daemon.port",
        "daemon.prot",
        "log.level",
        "spam",
    ]


@pytest.mark.parametrize("text", ["[daemon", "\x00"])
def test_a_file_that_is_no_toml_is_refused_by_name(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidInputError, match=r"qubitd\.toml: cannot be read"):
        load_config(written(tmp_path, text))


def test_the_command_line_goes_before_the_file(tmp_path: Path) -> None:
    parser = argparse.ArgumentParser()
    serve.add_arguments(parser)
    file = written(tmp_path, '[daemon]\nport = 1\nhost = "::1"\n[log]\nlevel = "error"\n')
    config = serve._config(parser.parse_args(["--config", str(file), "--port", "2", "--log-form", "json"]))
    assert (config.port, config.host, config.log_level, config.log_form) == (2, "::1", "error", "json")


def test_shares_are_given_by_project(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, "[shares]\nphysics = 2\n"))
    assert (config.shares, DaemonConfig().shares) == ({"physics": 2.0}, {})
    with pytest.raises(InvalidInputError, match=r"shares\.physics: 0 is outside 0\.001 to 1000"):
        load_config(written(tmp_path, "[shares]\nphysics = 0\n"))
