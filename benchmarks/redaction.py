"""Keys and tokens never reach a file."""

import os
import re
from typing import Any

__all__ = ["redacted", "redacted_values"]

HIDDEN = "[redacted]"
SHORTEST = 8  # characters; a shorter value would be found in ordinary words
NAME = r"(?:api_?key|access_?key|token|secret|passw(?:or)?d|passphrase|credentials?)"
SECRET_KEY = re.compile(rf"(?:.*[_.-])?{NAME}", re.IGNORECASE)
SECRET_VARIABLE = re.compile(
    r"(?:.*_)?(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?)", re.IGNORECASE
)
VALUE = r"(?:\"[^\"\n]*\"|'[^'\n]*'|[^\s\"',}\]]+)"
PATTERNS = (  # each keeps its first group
    re.compile(
        rf"(\b(?:\w+[_.-])?{NAME}[\"']?[ \t]*[:=][ \t]*)(?!\[redacted\]|null\b|None\b){VALUE}",
        re.IGNORECASE,
    ),
    re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s/:@]*:)(?!\[redacted\])[^\s/@]+(?=@)", re.IGNORECASE),
    re.compile(r"(\bauthorization:[ \t]*\w+[ \t]+)(?!\[redacted\])\S+", re.IGNORECASE),
    re.compile(r"(\b)(?:wandb_v\d_\w{20,}|hf_\w{20,}|gh[pousr]_\w{20,}|AKIA[A-Z0-9]{16})\b"),
)


def redacted(text: str) -> str:
    """Return the text without secrets; what is redacted already stays as it is.

    Hidden are the values of this process's environment variables that are named as keys, tokens
    or passwords, values after such a name in the text, passwords in addresses, and the common
    forms of tokens.
    """
    for name, value in os.environ.items():
        if SECRET_VARIABLE.fullmatch(name) and len(value) >= SHORTEST:
            text = text.replace(value, HIDDEN)
    for pattern in PATTERNS:
        text = pattern.sub(rf"\1{HIDDEN}", text)
    return text


def redacted_values(value: Any) -> Any:
    """Return lists and dicts without secrets: those in texts, and those that a key names."""
    if isinstance(value, dict):
        return {
            k: HIDDEN
            if isinstance(v, str) and SECRET_KEY.fullmatch(str(k))
            else redacted_values(v)
            for k, v in value.items()
        }
    if isinstance(value, list):
        return [redacted_values(v) for v in value]
    return redacted(value) if isinstance(value, str) else value
