"""The benchmark on GPUs runs: tiny data, answers checked, no times claimed."""

import importlib.util
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "benches" / "gpu"


@pytest.fixture
def run(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    for name in ("cases", "peers"):  # the tests have modules of these names too
        monkeypatch.delitem(sys.modules, name, raising=False)
    spec = importlib.util.spec_from_file_location("gpu_run", FOLDER / "run.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    for name in ("cases", "peers"):
        sys.modules.pop(name, None)


def test_every_case_runs_and_is_right(run, cupy, capsys, tmp_path):
    run.main(["--quick", "--rounds", "1", "--output", str(tmp_path / "gpu.md")])
    text = (tmp_path / "gpu.md").read_text(encoding="utf-8")
    assert [case.name for case in run.CASES if f"| {case.name} (" not in text] == []
    assert "floor" in capsys.readouterr().out
