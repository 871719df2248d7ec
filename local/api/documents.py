"""Writes ``docs/openapi.json``, the pages of ``docs/reference``, and into ``docs/schemas`` one JSON Schema for the
requests of each function.

``python -m local.api.documents`` writes them; ``--check`` exits with 1 if a file is not up to date, or too many.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from local.api import openapi, schemas
from local.api.reference import pages
from local.aws import stack

DOCS = stack.ROOT / "docs"
API = Path("openapi.json")
SCHEMAS = Path("schemas")
REFERENCE = Path("reference")
README = Path("../README.md")
# A part of the README that is made, too.
MADE = re.compile(r"(<!-- made: costs -->\n).*?(?=<!-- end -->)", re.DOTALL)


@cache
def _costs() -> str:
    return pages.costs()


def readme(text: str) -> str:
    """The README with the parts that are made."""
    return MADE.sub(lambda found: f"{found[1]}\n{_costs()}\n\n", text)


@cache
def texts() -> dict[Path, str]:
    """The text of every document, by its path under ``docs``."""
    values = {API: openapi.document(), **{SCHEMAS / f"{name}.json": it for name, it in schemas.requests().items()}}
    written = {place: json.dumps(value, indent=2, ensure_ascii=False) + "\n" for place, value in values.items()}
    return {**written, **{REFERENCE / name: text for name, text in pages.texts().items()}}


def drifted(docs: Path) -> Iterator[Path]:
    """The documents in this folder that are missing, different, or of something that does not exist."""
    present = {path.relative_to(docs) for folder in (SCHEMAS, REFERENCE) for path in (docs / folder).glob("*.*")}
    yield from sorted(present - texts().keys())
    for place, wanted in texts().items():
        path = docs / place
        if not path.is_file() or path.read_text(encoding="utf-8") != wanted:
            yield place
    if (docs / README).is_file() and (text := (docs / README).read_text(encoding="utf-8")) != readme(text):
        yield README


def write(docs: Path) -> None:
    """Write every document, and remove those of what no longer exists."""
    for folder in (SCHEMAS, REFERENCE):
        (docs / folder).mkdir(exist_ok=True)
    for place in [*drifted(docs)]:
        if place == README:
            (docs / place).write_text(readme((docs / place).read_text(encoding="utf-8")), encoding="utf-8")
        elif place in texts():
            (docs / place).write_text(texts()[place], encoding="utf-8")
        else:
            (docs / place).unlink()


def main(arguments: Sequence[str] | None = None, docs: Path = DOCS) -> int:
    """Write the documents, or with ``--check`` compare them; returns the process's exit status."""
    parser = argparse.ArgumentParser(prog="python -m local.api.documents", description=write.__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; status 1 if one is not up to date")
    if not parser.parse_args(arguments).check:
        write(docs)
        return 0
    wrong = [str(place) for place in drifted(docs)]
    if not wrong:
        return 0
    told = f"not what code, template and schemas say: {', '.join(wrong)}. Run python -m local.api.documents"
    print(told, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
