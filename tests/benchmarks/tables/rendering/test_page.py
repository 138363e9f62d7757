"""The report page, as text and in a browser."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.__main__ import main
from benchmarks.runs.record import Evaluation, Record
from benchmarks.tables.analysis.cells import join
from benchmarks.tables.plan.plan import make_plan
from benchmarks.tables.plan.planned_run import fingerprint_of
from benchmarks.tables.rendering.page import page_of, report
from benchmarks.tables.spec import load_spec

ROOT = Path(__file__).parents[4]
HOSTILE = "<img src=x onerror=alert(1)></script><script>alert(2)</script>\"'{{7*7}}"
PROBE = """
<script>
const errors = [];
addEventListener("error", e => errors.push(String(e.message || e.target.outerHTML)), true);
addEventListener("securitypolicyviolation", e => errors.push("blocked " + e.blockedURI));
addEventListener("load", () => {
  const table = document.querySelector("table.sortable");
  const column = i => [...table.tBodies[0].rows].map(r => r.cells[i].textContent);
  const press = i => table.tHead.rows[0].cells[i].querySelector("button").click();
  const found = {before: column(1)};
  press(1); found.up = column(1);
  press(1); found.down = column(1);
  press(0); found.names = column(0);
  for (const d of document.querySelectorAll("details")) d.open = true;
  found.images = [...document.images].map(i => i.complete && i.naturalWidth > 0);
  found.injected = document.querySelectorAll("img[src=x]").length;
  found.text = document.body.textContent.includes("<img src=x onerror=alert(1)>");
  found.width = innerWidth;
  found.wide = document.documentElement.scrollWidth - innerWidth;
  found.errors = errors;
  top.document.documentElement.setAttribute("data-found", JSON.stringify(found));
});
</script>
"""


@pytest.fixture
def hostile(outputs):
    """The quick table with made-up records, one of which is of no good will."""
    plan = make_plan(load_spec("quick"), 2)
    for i, run in enumerate(plan.runs[:8]):
        evaluation = Evaluation(
            run.protocols[0],
            fingerprint_of(run.protocols[0]),
            "last",
            "raw",
            64,
            {"fd_lenet": 100.0 - i, "lenet_score": float(i)},
            {"extractor": HOSTILE},
        )
        record = Record(run.experiment, run.dataset, run.run_id, run.seed, "finished")
        record.evaluations = [evaluation]
        record.config = {HOSTILE: HOSTILE}
        record.deviations = [HOSTILE]
        record.write(run.run.record_path)
        run.run.samples.mkdir()
        Image.effect_noise((400, 400), 60).save(run.run.samples / "64.png")
        run.run.logs.mkdir()
        log = f"images_seen,name,value\n0,train/{HOSTILE.replace(',', '')},1\n64,train/x,2\n"
        (run.run.logs / "metrics.csv").write_text(log + "0,train/x,1\n128,train/x,nan\n")
    failed = Record(
        plan.runs[8].experiment, plan.runs[8].dataset, plan.runs[8].run_id, 0, "failed"
    )
    failed.reason = HOSTILE
    failed.write(plan.runs[8].run.record_path)
    return join(plan, plan.records(False))


def test_nothing_that_is_named_becomes_markup(hostile):
    page = page_of([hostile])
    assert "<img src=x" not in page
    assert page.count("<script>") == 1
    assert "{{7*7}}" in page  # no template within a value
    assert page.count("alert(2)") >= 8
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert not re.search(r'(src|href)="(?!data:|#)', page)


def test_commands_reproduce_the_run(hostile):
    page = page_of([hostile])
    run = hostile.plan.runs[1]
    assert f"experiment={run.experiment} datamodule={run.dataset} seed=1" in page


def test_a_page_of_a_table_without_records(outputs, capsys):
    assert main(["report", "iwae_table1", "--output", str(outputs / "page.html")]) == 0
    text = (outputs / "page.html").read_text()
    assert "IWAE Table 1" in text
    assert main(["report", "nope"]) == 2
    assert "table 'nope' does not exist" in capsys.readouterr().err


def test_all_published_tables_are_there_by_default(outputs, monkeypatch):
    monkeypatch.chdir(ROOT)
    text = report([]).read_text()
    for name in ("quick", "digits_bits_per_dim", "veegan_2d"):
        assert f'id="table-{name}"' in text
    assert len(text) < 8_000_000


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1200])
def test_in_a_browser(hostile, tmp_path, width):
    browser = next(filter(shutil.which, ("chromium", "chromium-browser", "google-chrome")), None)
    if browser is None:
        pytest.skip("no Chromium on this machine")
    page = page_of([hostile]).replace("<head>", "<head>" + PROBE, 1)
    # a window cannot be as narrow as a phone, a frame can
    frame = f'<iframe width="{width}" height="900" srcdoc="{html.escape(page)}"></iframe>'
    (tmp_path / "page.html").write_text(f"<!doctype html><body>{frame}</body>")
    done = subprocess.run(
        [
            browser,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--enable-logging=stderr",
            "--window-size=1400,1000",
            "--virtual-time-budget=4000",
            "--dump-dom",
            f"--user-data-dir={tmp_path / 'profile'}",
            (tmp_path / "page.html").as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    dumped = re.search(r'data-found="([^"]*)"', done.stdout)
    assert dumped, done.stderr[-2000:]
    found = json.loads(dumped.group(1).replace("&quot;", '"').replace("&amp;", "&"))
    assert "CONSOLE" not in done.stderr
    assert found["errors"] == []
    numbers = [float(t.split()[0]) for t in found["up"] if t[0].isdigit()]
    assert numbers == sorted(numbers)
    assert len(numbers) == 4
    assert [t for t in found["down"] if t[0].isdigit()] == [
        t for t in reversed(found["up"]) if t[0].isdigit()
    ]
    assert found["names"] == sorted(found["names"], key=str.lower)
    assert len(found["images"]) >= 8
    assert all(found["images"])
    assert (found["injected"], found["text"]) == (0, True)
    assert found["width"] == width
    assert found["wide"] <= 0  # nothing beyond the screen but what scrolls by itself


def test_a_hand_edited_record_is_named_and_left_out(hostile, capsys):
    path = hostile.plan.runs[0].run.record_path
    path.write_text(path.read_text().replace('"fd_lenet": 100.0', '"fd_lenet": 1.0'))
    assert main(["report", "quick"]) == 0
    said = capsys.readouterr().err
    assert f"left out: {path}" in said
    assert "edited by hand" in said
