"""The record of an emulated rack is whole at every moment."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from qubitd.cli.kept_emulator import RECORD, Place, keep


def test_a_record_that_is_written_again_is_never_half(tmp_path: Path) -> None:
    record = tmp_path / RECORD
    first, second = (Place(address="127.0.0.9", control_port=port, name="rack", cabling="c") for port in (1, 2))
    keep(record, first)
    with record.open() as before:
        keep(record, second)
        assert json.load(before) == asdict(first)
    assert json.loads(record.read_text()) == asdict(second)
    assert [path.name for path in tmp_path.iterdir()] == [RECORD]
