"""Keys and tokens never reach a file."""

import os
import re

__all__ = ["hidden", "redacted"]

HIDDEN = "[redacted]"
SECRET_NAME = re.compile(r"key|token|secret|passw|credential|auth", re.IGNORECASE)
SHORTEST = 8  # characters; a shorter value would be found in ordinary words
PATTERNS = (  # each keeps its first group
    re.compile(
        r"(\b[\w.-]*(?:api_?key|token|secret|passw(?:or)?d)[\w-]*[\"']?\s*[:=]\s*[\"']?)"
        r"[^\s\"',}\]]+",
        re.IGNORECASE,
    ),
    re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s/:@]*:)[^\s/@]+(?=@)", re.IGNORECASE),
    re.compile(r"(\bauthorization:\s*\w+\s+)\S+", re.IGNORECASE),
    re.compile(r"(\b)(?:wandb_v\d_\w{20,}|hf_\w{20,}|gh[pousr]_\w{20,}|AKIA[A-Z0-9]{16})\b"),
)


def hidden(name: str) -> str | None:
    """Return what stands in place of the value of a key that names a secret; None for others."""
    return HIDDEN if PATTERNS[0].match(f"{name}: value") else None


def redacted(text: str) -> str:
    """Return the text without secrets.

    Hidden are the values of this process's environment variables whose names speak of keys or
    tokens, values after such a name in the text, passwords in addresses, and the common forms of
    tokens.
    """
    for name, value in os.environ.items():
        if SECRET_NAME.search(name) and len(value) >= SHORTEST:
            text = text.replace(value, HIDDEN)
    for pattern in PATTERNS:
        text = pattern.sub(rf"\1{HIDDEN}", text)
    return text
