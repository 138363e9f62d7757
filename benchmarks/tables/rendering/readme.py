"""What the program writes into a README, between marks."""

import re
from pathlib import Path

from benchmarks.core.files import write_atomically

__all__ = ["into_readme"]


def into_readme(name: str, markdown: str, readme: Path) -> bool:
    """Replace what stands between the table's marks; return whether they are there."""
    if not readme.exists():
        return False
    text = readme.read_text(encoding="utf-8")
    begin, end = f"<!-- table: {name} -->", f"<!-- end of table: {name} -->"
    pattern = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    if not pattern.search(text):
        return False
    body = f"{begin}\n\n{markdown}\n{end}"
    renewed = pattern.sub(lambda _: body, text)
    if renewed != text:
        write_atomically(readme, renewed)
    return True
