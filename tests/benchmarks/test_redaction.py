"""Secrets are hidden wherever they stand, and ordinary text is left alone."""

import pytest

from benchmarks.redaction import redacted, redacted_values


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


@pytest.mark.parametrize(
    "text",
    [
        "num_tokens: 512",
        "tokenizer:\n  _target_: x",
        "api_key: null",
        "monkey: 12345678",
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
    expected = {**values, "wandb_api_key": "[redacted]", "x": ["password=[redacted]", 1.5]}
    assert redacted_values(values) == expected
