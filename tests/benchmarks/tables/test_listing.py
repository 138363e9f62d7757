"""`dgmbench list`: what there is, read from the configs."""

from benchmarks.__main__ import main
from benchmarks.core.paths import CONFIGS


def test_list_shows_every_file(capsys):
    assert main(["list"]) == 0
    shown = capsys.readouterr().out
    for group in ("experiment", "loss", "datamodule", "protocol"):
        for path in (CONFIGS / group).glob("*.yaml"):
            assert path.stem in shown
    assert main(["list", "tables"]) == 0
    assert "quick" in capsys.readouterr().out
