"""Secrets are hidden wherever they stand, and ordinary text is left alone."""

import json
import sys
import time

import pytest
import wandb

from benchmarks.__main__ import main
from benchmarks.core.errors import UserError
from benchmarks.core.redaction import check_no_secret, redacted, redacted_values
from benchmarks.execution.slurm.launcher import load_launcher
from benchmarks.runs.folder import Run
from benchmarks.runs.record import Record
from benchmarks.tables.analysis.cells import join
from benchmarks.tables.plan.plan import check_passed_on, make_plan
from benchmarks.tables.rendering.page import page_of
from benchmarks.tables.run import write_table
from benchmarks.tables.spec import load_spec
from benchmarks.training.train import train
from tests.helpers import tiny_run


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("WANDB_API_KEY=abc123", "WANDB_API_KEY=[redacted]"),
        ("wandb.login(key=x, api_key='a,b')", "wandb.login(key=x, api_key=[redacted])"),
        ('{"hf_token": "abc", "n": 1}', '{"hf_token": [redacted], "n": 1}'),
        ("git clone https://me:pw@host/r", "git clone https://me:[redacted]@host/r"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer [redacted]"),
        ("password: hunter2", "password: [redacted]"),
        ("got ghp_" + "a" * 36, "got [redacted]"),
    ],
)
def test_secrets_are_hidden(text, expected):
    assert redacted(text) == expected
    assert redacted(expected) == expected


def test_values_of_the_environment_are_hidden(monkeypatch):
    monkeypatch.setenv("MY_SERVICE_TOKEN", "s3cr3t-value")
    monkeypatch.setenv("SHORT_KEY", "adam")
    monkeypatch.setenv("AUTH_MODE", "standard")
    assert redacted("standard s3cr3t-value for adam") == "standard [redacted] for adam"


SECRETS = {  # as the issuers shape them; none is real
    "github": "github_pat_" + "11ABCDE0a" * 5,
    "gitlab": "glpat-" + "abcDEF123_" * 2,
    "openai": "sk-proj-" + "A1b2C3d4" * 6,
    "anthropic": "sk-ant-api03-" + "A1b2C3d4" * 6,
    "slack": "xoxb-" + "1234567890-abcDEF",
    "aws": "AKIA" + "ABCDEFGHIJ012345",
    "bearer": "Bearer abcdefgh.ijklmnop",
    "jwt": "eyJhbGciOiJI.eyJzdWIiOiIx.SflKxwRJSMeKKF2QT4",
    "pem": "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nabc=\n-----END RSA PRIVATE KEY-----",
    "ssh": "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk\n",
    "postgres": "PGPASSWORD=hunter22",
    "mysql": "MYSQL_PWD=hunter22",
    "aws_id": "AWS_ACCESS_KEY_ID=hunter22",
    "aws_secret": "AWS_SECRET_ACCESS_KEY: hunter22",
    "url": "postgres://me:hunter22@host/db",
    "url_slash": "https://me:hunter22/x@y@host/",
    "netrc": "machine api.wandb.ai login user password hunter22",
    "login": "wandb login --relogin " + "0123456789abcdef" * 2 + "01234567",
    "option": "--password hunter22",
    "python": "os.environ['WANDB_API_KEY']='hunter22'",
    "header": "X-Api-Key: hunter22",
    "json": '"authorization": "Basic hunter22=="',
    "pgp": "-----BEGIN PGP PRIVATE KEY BLOCK-----\nhunter22\n-----END PGP PRIVATE KEY BLOCK-----",
    "stripe": "sk_live_" + "A1b2C3d4" * 3,
    "docker": "dckr_pat_" + "A1b2C3d4" * 3,
    "on_premise": "local-" + "0123456789abcdef" * 2 + "01234567",
    "words": "dbpassword=hunter22",
}


@pytest.mark.parametrize("name", SECRETS)
def test_the_common_forms_of_secrets_are_hidden(name):
    secret = SECRETS[name]
    hidden = redacted(f"before {secret} after")
    assert "[redacted]" in hidden
    assert hidden.startswith("before ")
    assert hidden.endswith(" after") or name in ("ssh", "url_slash")  # torn: hides what follows
    assert not any(part in hidden for part in (secret, "hunter22", "MIIEow", "b3Blbn", "ijklm"))
    assert redacted(hidden) == hidden
    with pytest.raises(ValueError, match=r"^here\[0\]\.x must hold no secret") as refused:
        check_no_secret([{"x": secret}], "here")
    assert secret not in str(refused.value)


VARIABLES = [
    "WANDB_API_KEY",
    "PGPASSWORD",
    "MYSQL_PWD",
    "SSHPASS",
    "AWS_ACCESS_KEY_ID",
    "AWS_SESSION_TOKEN",
    "GITHUB_PAT",
    "SLURM_JWT",
    "DB_PASS",
]


@pytest.mark.parametrize("name", VARIABLES)
def test_variables_that_are_secrets(name, monkeypatch):
    monkeypatch.setenv(name, "correct horse battery")
    assert redacted("a correct horse battery b") == "a [redacted] b"
    with pytest.raises(ValueError, match=f"environment.{name} must hold no secret"):
        check_no_secret({name: "x"}, "environment")
    monkeypatch.delenv(name)


@pytest.mark.parametrize(
    "text",
    [
        *(
            part * 50_000
            for part in ("a.", "a+", "_a", "a_token", "bearer ", "https://", "login x ")
        ),
        "eyJ" + "a-" * 50_000,
        "eyJaaaaaaaa." * 10_000,
    ],
)
def test_long_texts_take_no_square_of_their_length(text):
    began = time.process_time()
    redacted(text)
    assert time.process_time() - began < 20  # a square would take hours


def test_a_key_of_something_else_is_no_secret(monkeypatch):
    """CACHE_KEY=gaussian_ring must not tear a run's config."""
    monkeypatch.setenv("CACHE_KEY", "gaussian_ring")
    monkeypatch.setenv("SORT_KEY", "batch_size_and_seed")
    monkeypatch.setenv("SOME_KEY", "a1" * 16)
    assert (
        redacted("gaussian_ring by batch_size_and_seed") == "gaussian_ring by batch_size_and_seed"
    )
    assert redacted("a1" * 16) == "[redacted]"
    monkeypatch.setenv("MY_TOKEN", "gaussian_ring")
    values = {"_target_": "datamodules.gaussian_ring.GaussianRing"}
    assert redacted_values(values) == values
    assert Record.from_json(Record("e", "gaussian_ring", "r", 0, "failed").to_json()).dataset == (
        "gaussian_ring"
    )


def test_variables_that_are_none(monkeypatch):
    for name in ("PWD", "OLDPWD", "MONKEY", "SSH_AUTH_SOCK", "KEYBOARD", "PATH"):
        monkeypatch.setenv(name, "/an/ordinary/folder")
    assert redacted("in /an/ordinary/folder") == "in /an/ordinary/folder"
    check_no_secret({"PWD": "/x", "MONKEY": 1, "A": ["b", {"c": None}]}, "environment")


def test_no_sink_lets_a_secret_through(outputs, tmp_path, monkeypatch, capsys):
    """Records, configs, errors, logs, tables, the page, W&B's files and what is exported."""
    secrets = [*SECRETS.values(), "correct horse battery"]
    monkeypatch.setenv("PGPASSWORD", "correct horse battery")
    text = " and ".join(secrets)
    given = (("mode", "offline"), ("group", "g"))
    settings = [f"logger.wandb.{name}={value}" for name, value in given]
    composed = tiny_run("lucic2018/ns_gan_quick", ["logger=wandb", *settings])
    cfg = composed.cfg
    cfg.method, cfg.deviations, cfg.logger.wandb.tags = text, [text], ["a " + secrets[0]]
    cfg.logger.wandb.group = cfg.logger.wandb.project = "p " + secrets[2]

    def fail(*_):
        raise RuntimeError(text)

    monkeypatch.setattr("benchmarks.training.train._evaluate", fail)
    record = train(composed, bar=False)
    wandb.finish()
    assert record.status == "failed"
    run = Run.of(composed)
    plan = make_plan(load_spec("quick"), 1)
    planned = next(r for r in plan.runs if r.experiment == "lucic2018/ns_gan_quick")
    told = Record.from_json(run.record_path.read_text())
    told.run_id, told.reason, told.overrides = planned.run_id, text, [f"+x={text}"]
    table = join(plan, {planned.key: told})
    write_table(table, tmp_path / "table")
    (tmp_path / "page.html").write_text(page_of([table]))
    assert main(["train", f"experiment={secrets[0]}"]) == 2
    sys.excepthook(RuntimeError, RuntimeError(text), None)  # which `main` has set
    assert main(["train", "experiment=toy/ns_gan", f"+x={secrets[2]}"]) == 2
    shown = capsys.readouterr()
    (tmp_path / "terminal").write_text(shown.out + shown.err)
    looked_at = [p for p in (*outputs.rglob("*"), *tmp_path.rglob("*")) if p.is_file()]
    assert {p.suffix for p in looked_at} >= {".json", ".yaml", ".txt", ".md", ".html", ".wandb"}
    parts = {s.encode() for s in (*secrets, "hunter22", "MIIEow", "b3BlbnNz", "ijklmnop")}
    for path in looked_at:
        content = path.read_bytes()
        found = [part for part in parts if part in content]
        assert not found, (path, found)
        if path.suffix == ".json":
            json.loads(content)


def test_what_jobs_would_write_is_refused(monkeypatch):
    for override in (
        "launcher.environment={WANDB_API_KEY: abcdefgh}",
        f"launcher.setup=['export X={SECRETS['gitlab']}']",
        f"launcher.sbatch.comment={SECRETS['openai']}",
    ):
        with pytest.raises(UserError, match=r"launcher\.\w+.* must hold no secret"):
            load_launcher("slurm", [override])
    with pytest.raises(UserError, match=r"overrides\[0\] must hold no secret"):
        check_passed_on(load_spec("quick"), [f"logger.wandb.group={SECRETS['github']}"])


@pytest.mark.parametrize(
    "text",
    [
        "num_tokens: 512",
        "tokenizer:\n  _target_: x",
        "api_key: null",
        "monkey: 12345678",
        "task-0123456789012345678901234",
        "the bearer of news",
        "bearer instruments",
        "pad_token: 0",
        "use_token=false",
        "token: ${model.dim}",
        "n_pass: 2, two_pass: true",
        "hf_hub_download_of_this_thing",
        "sk-learn-is-a-nice-library-to-use",
        "risk-free and desk-bound-and-so-on-forever",
        "a password manager, tokens and a secret",
        "keep_best_by: fd_lenet",
        "https://arxiv.org/abs/1711.10337",
        "weights_sha256: 0123abcd",
        "batch_size must be >= 1, got 0",
        "optimizer_g: {lr: 1.0e-4, betas: [0.5, 0.999]}",
    ],
)
def test_ordinary_text_is_left_alone(text):
    assert redacted(text) == text


def test_values_under_names_of_secrets():
    values = {"wandb_api_key": "abc", "token": None, "tokens": 512, "x": ["password=ab", 1.5]}
    values |= {"secret": ["abc"], "password": {"a": "b"}, "mask_token": "learned", "n_pass": 2}
    expected = {**values, "wandb_api_key": "[redacted]", "x": ["password=[redacted]", 1.5]}
    expected |= {"secret": "[redacted]", "password": "[redacted]"}
    assert redacted_values(values) == expected
    assert redacted_values({"hf_token": "a1" * 9}) == {"hf_token": "[redacted]"}
