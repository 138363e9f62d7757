"""The measurements of tables run: what they lean on must not move away from under them."""

from tests.speed import tables


def test_a_page_is_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "PAGE_SEEDS", 1)
    with tables.working_in(tmp_path):
        assert tables._page().startswith("page of ")


def test_many_records_are_measured(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "SEEDS", 1)
    with tables.working_in(tmp_path):
        first, second = tables._many_records()
    assert first.startswith("table of 36 records")
    assert second.startswith("status of 36 records")
