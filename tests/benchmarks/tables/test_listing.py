"""`dgmbench list`: what there is, read from the configs."""

import pytest

from benchmarks.__main__ import main
from benchmarks.commands.list import KINDS
from benchmarks.core.paths import CONFIGS
from benchmarks.tables.spec import load_spec


def test_list_shows_every_file(capsys):
    assert main(["list"]) == 0
    shown = capsys.readouterr().out
    for group in ("experiment", "loss", "datamodule", "protocol"):
        for path in (CONFIGS / group).glob("*.yaml"):
            assert path.stem in shown
    assert main(["list", "tables"]) == 0
    assert "quick" in capsys.readouterr().out


def listed(capsys, *arguments):
    """Return what is listed, by kind."""
    assert main(["list", *arguments]) == 0
    kinds, kind = {}, ""
    for line in capsys.readouterr().out.splitlines():
        if line.startswith("  "):
            name, _, text = line.strip().partition("  ")
            kinds[kind][name] = text.strip()
        else:
            kind = line.removesuffix(":")
            kinds[kind] = {}
    return kinds


@pytest.mark.parametrize("kind", KINDS)
def test_one_kind_alone_is_never_empty(capsys, kind):
    found = listed(capsys, kind)
    assert list(found) == [kind]
    assert len(found[kind]) >= 3


def test_each_kind_says_what_it_is_known_by(capsys):
    assert listed(capsys, "losses")["losses"]["hinge"] == "HingeLoss"
    first = (CONFIGS / "datamodule" / "mnist.yaml").read_text().splitlines()[0]
    assert listed(capsys, "datasets")["datasets"]["mnist"] == first.removeprefix("# ")
    assert listed(capsys, "tables")["tables"]["quick"] == load_spec("quick").title
    experiments = listed(capsys, "experiments")["experiments"]
    assert experiments["toy/wgan"] == "WGAN (MLP); for gaussian_ring, gaussian_grid"
    assert "toy/wgan" in listed(capsys, "methods")["methods"]["WGAN (MLP)"].split(", ")


def test_names_are_aligned(capsys):
    assert main(["list", "losses"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head == "losses:"
    names, texts = zip(*(line.split() for line in lines), strict=True)
    assert list(names) == sorted(names)
    column = 2 + max(map(len, names)) + 2
    assert [line.index(text, 1 + len(name)) for line, name, text in
            zip(lines, names, texts, strict=True)] == [column] * len(lines)  # fmt: skip


def test_what_is_ones_own_is_listed_too(own_configs, capsys):
    for group in ("datamodule", "loss"):
        (own_configs / group).mkdir()
    (own_configs / "datamodule" / "mine.yaml").write_text("_target_: my_parts.Data\n")
    (own_configs / "loss" / "mine.yaml").write_text("_target_: my_parts.losses.MyLoss\n")
    assert listed(capsys, "datasets")["datasets"]["mine"] == ""  # nothing is said of it
    assert listed(capsys, "losses")["losses"]["mine"] == "MyLoss"
    for group, text in (("penalty", ""), ("model", "# Of mine.\n"), ("extractor", "")):
        (own_configs / group).mkdir()
        (own_configs / group / "mine.yaml").write_text(text)
    assert listed(capsys, "penalties")["penalties"]["mine"] == ""  # it is begun only
    assert listed(capsys, "models")["models"]["mine"] == "Of mine."
    assert listed(capsys, "extractors")["extractors"]["mine"] == ""


def test_other_kinds_are_refused(capsys):
    with pytest.raises(SystemExit) as code:
        main(["list", "loss"])
    assert code.value.code == 2
    assert "invalid choice: 'loss' (choose from 'methods', 'models'," in capsys.readouterr().err
