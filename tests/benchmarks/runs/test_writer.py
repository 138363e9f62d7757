"""What the record of a run says of its code."""

import pytest

from benchmarks.__main__ import main
from benchmarks.config.identity import sources_hash
from benchmarks.core.environment import LIBRARIES
from benchmarks.core.paths import CONFIGS
from benchmarks.runs.record import read_record
from benchmarks.training.train import train
from tests.helpers import tiny_run

PARTS = """
from benchmarks.evaluation.protocols.modes import CoverageProtocol
from lit_models.adversarial.losses import NonSaturatingLoss


class MyLoss(NonSaturatingLoss):
    pass


class MyProtocol(CoverageProtocol):
    pass
"""


@pytest.fixture
def installed(tmp_path, own_configs, outputs, monkeypatch):
    """Two packages of a user's own that are installed, and a protocol of the second."""
    folder = tmp_path / "site-packages"
    for number in (1, 2):
        about = folder / f"my_parts_{number}-{number}.5.dist-info"
        about.mkdir(parents=True)
        (about / "METADATA").write_text(f"Name: my-parts-{number}\nVersion: {number}.5\n")
        (about / "top_level.txt").write_text(f"installed_parts_{number}\n")
        (folder / f"installed_parts_{number}.py").write_text(PARTS)
    (own_configs / "protocol").mkdir()
    text = (CONFIGS / "protocol" / "modes_2500.yaml").read_text()
    target = "benchmarks.evaluation.protocols.modes.CoverageProtocol"
    mine = text.replace(target, "installed_parts_2.MyProtocol")
    (own_configs / "protocol" / "mine.yaml").write_text(mine)
    monkeypatch.syspath_prepend(folder)
    sources_hash.cache_clear()
    yield
    sources_hash.cache_clear()


@pytest.mark.usefixtures("installed")
def test_a_run_names_the_versions_of_what_its_parts_are_installed_from():
    composed = tiny_run("toy/ns_gan", ["model.loss._target_=installed_parts_1.MyLoss"])
    composed.cfg.protocols = ["mine"]
    versions = train(composed, bar=False).versions
    added = {name: versions[name] for name in versions.keys() - {"python", *LIBRARIES}}
    assert added == {"my-parts-1": "1.5", "my-parts-2": "2.5"}


@pytest.mark.usefixtures("installed")
def test_so_does_a_score_of_images(outputs):
    images = ["images=train", "datamodule=gaussian_ring", "protocol=mine"]
    assert main(["evaluate", *images]) == 0
    (path,) = outputs.glob("images/*/*/record.json")
    assert read_record(path).versions["my-parts-2"] == "2.5"
