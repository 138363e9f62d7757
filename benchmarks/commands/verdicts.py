"""`dgmbench verdicts`."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("table", nargs="*", help="names of tables (default: all)")
    parser.add_argument("--write", action="store_true", help="renew docs/verdicts.md and README")


def run(given: argparse.Namespace) -> int:
    """Say what the published records tell of every published number."""
    from pathlib import Path

    from benchmarks.core.errors import UserError
    from benchmarks.tables.ledger import in_brief, ledger, page_of, write_page

    if given.write:
        if given.table:
            raise UserError("tables must not be given with --write, which is about all of them")
        renewed = write_page(Path())
        print("\n".join(f"{name}: verdicts renewed" for name in renewed) or "nothing to renew")
        return 0
    entries = ledger(given.table or None)
    print(page_of(entries) if entries else "no published number stands in these tables")
    print("\n".join(in_brief(entries)))
    return 0
