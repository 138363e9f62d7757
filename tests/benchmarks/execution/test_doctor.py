"""`dgmbench doctor`: what is here, what is not, and what mends it."""

from benchmarks.__main__ import main


def test_doctor_verifies_and_names_what_mends(outputs, capsys, monkeypatch, tmp_path):
    assert main(["doctor"]) == 0
    shown = capsys.readouterr().out
    assert "fashion_mnist_small" in shown
    assert "fingerprint verified" in shown
    assert "hash verified" in shown
    assert "!!" not in shown
    assert not (tmp_path / "outputs").exists()  # it leaves nothing behind

    monkeypatch.setattr(
        "benchmarks.evaluation.features.lenet.LeNetFashion.weights", tmp_path / "none"
    )
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DGMBENCH_OUTPUTS", str(tmp_path / "file/below"))
    assert main(["doctor"]) == 1
    shown = capsys.readouterr().out
    assert "-> git checkout benchmarks/evaluation/features" in shown
    assert "-> set DGMBENCH_OUTPUTS to a writable folder" in shown
