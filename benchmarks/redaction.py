"""Keys and tokens never reach a file, a log, a job script, a page or a server.

One list, for what this process knows (its environment) and what a secret looks like. Everything
that writes text which a user, a library or a file has given passes here.
"""

import os
import re
from typing import Any

__all__ = ["check_no_secret", "redacted", "redacted_values"]

HIDDEN = "[redacted]"
SHORTEST = 8  # characters; a shorter value would be found in ordinary words
PICTURE = "data:image/"  # such a URI is long, and random enough to look like anything
WORD = r"(?:token|secret|passw(?:or)?d|passphrase|credentials?)"
NAME = rf"(?:(?:api|access|secret|private)_?key(?:_?id)?|{WORD})"
SECRET_KEY = re.compile(rf"(?:.*[_.-])?{NAME}|\w*{WORD}", re.IGNORECASE)
SECRET_VARIABLE = re.compile(
    rf"(?:.*_)?KEY|.*{NAME}|.+_(?:PWD|PASS|PAT|JWT|AUTH|COOKIE)|SSHPASS", re.IGNORECASE
)
VALUE = r"(?:\"[^\"\n]*\"|'[^'\n]*'|[^\s\"',}\]]+)"
SHAPES = (  # of tokens that their issuers mark
    r"wandb_v\d_\w{20,}",
    r"hf_\w{20,}",
    r"gh[pousr]_\w{20,}",
    r"github_pat_\w{20,}",
    r"glpat-[\w.-]{16,}",
    r"sk-[\w-]{20,}",
    r"xox[abeoprs]-[\w-]{10,}",
    r"npm_\w{30,}",
    r"pypi-[\w-]{40,}",
    r"AIza[\w-]{30,}",
    r"(?:AKIA|ASIA)[A-Z0-9]{16}",
    r"eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}",
)
PATTERNS = (  # each keeps its first group
    re.compile(
        r"()-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
        re.DOTALL,
    ),
    re.compile(
        rf"(\b(?:(?:\w+[_.-])?{NAME}|\w*{WORD}|\w+_(?:pwd|pass|pat|jwt))[\"']?[ \t]*[:=][ \t]*)"
        rf"(?!\[redacted\]|null\b|None\b){VALUE}",
        re.IGNORECASE,
    ),
    re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s/:@]*:)(?!\[redacted\])[^\s/@]+(?=@)", re.IGNORECASE),
    re.compile(r"(\bauthorization:[ \t]*\w+[ \t]+)(?!\[redacted\])\S+", re.IGNORECASE),
    re.compile(r"(\bbearer[ \t]+)(?!\[redacted\])[\w.~+/=-]{8,}", re.IGNORECASE),
    re.compile(rf"(\b)(?:{'|'.join(SHAPES)})"),
)


def redacted(text: str) -> str:
    """Return the text without secrets; what is redacted already stays as it is.

    Hidden are the values of this process's environment variables that are named as keys, tokens
    or passwords, values after such a name in the text, passwords in addresses, private keys, and
    the common forms of tokens.
    """
    if text.startswith(PICTURE):
        return text
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
    if isinstance(value, list | tuple):
        return [redacted_values(v) for v in value]
    return redacted(value) if isinstance(value, str) else value


def check_no_secret(value: Any, where: str) -> None:
    """Refuse a secret where it cannot be hidden, as in a script that must run.

    Raises:
        ValueError: naming where it stands, not the secret.
    """
    if isinstance(value, dict):
        for name, part in value.items():
            if SECRET_VARIABLE.fullmatch(str(name)) and part not in (None, ""):
                raise ValueError(_no_secret(f"{where}.{name}"))
            check_no_secret(part, f"{where}.{name}")
    elif isinstance(value, list | tuple):
        for i, part in enumerate(value):
            check_no_secret(part, f"{where}[{i}]")
    elif isinstance(value, str) and redacted(value) != value:
        raise ValueError(_no_secret(where))


def _no_secret(where: str) -> str:
    return (
        f"{where} must hold no secret, since it is written to a file: set it in the environment "
        "that the command runs in, which its jobs inherit"
    )
