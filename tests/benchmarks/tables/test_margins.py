"""Margins of equivalence are declared, once, before a published value is shown."""

import pytest

from benchmarks.core.errors import UserError
from benchmarks.tables.margins import Margin, margin_of


def test_a_margin_is_absolute_or_relative():
    assert margin_of("nll_nats").around(86.76) == 0.3
    assert margin_of("fid").around(-5.0) == pytest.approx(0.5)
    for values in ({}, {"absolute": 1, "relative": 1}):
        with pytest.raises(ValueError, match="one of absolute and relative must be given"):
            Margin("x", **values)


def test_what_is_not_declared_is_refused_with_the_nearest():
    with pytest.raises(UserError, match=r"metric fids must have a margin in .*did you mean fid"):
        margin_of("fids")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("own: {absolute: 0, why: x}", "own.absolute must be a number > 0 or null, got 0"),
        ("own: {absolute: 1}", "own.why must be given"),
        ("fid: {absolute: 1, why: x}", "fid has a margin already"),
        ("- 1", "must map metrics to margins"),
    ],
)
def test_margins_of_ones_own(tmp_path, monkeypatch, text, message):
    (tmp_path / "margins.yaml").write_text(text)
    monkeypatch.setenv("DGMBENCH_PATH", str(tmp_path))
    with pytest.raises(UserError, match=message):
        margin_of("own")
