"""The recording of a first sweep and its apply, ``docs/command-line.svg``.

``python -m tests.support.cli_recording`` writes it again, after a command's words have changed.
"""

import io
import re
import tempfile
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

from local.emulators import Emulators
from tests.support.cli import OMS, Laptop
from tests.support.cli_forks import Forks
from tests.support.functions import ROOT
from tests.support.identities import fake_secret

PICTURE = ROOT / "docs" / "command-line.svg"
RUN = "20261126T030000-first-1a2b3c"
# The picture asks no other server for a font.
_FORMAT = re.sub(r"@font-face \{\{.*?\}\}|<!--.*?-->", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)


def recorded(laptop: Laptop) -> str:
    """The commands and what they show, with the same run id and folder each time."""
    laptop.seed(4)
    laptop.seed(2, first=20, age=2)
    laptop.seed(1, first=30, name="prod-ledger")
    laptop.policy(OMS, name="first", protect={"names": ["*prod*"]})
    sweep = laptop.begin("sweep", "first.json", kind="dumb").end()
    (run_id,) = [path.name for path in laptop.folder.glob("reports/*")]
    terminal = laptop.begin("apply", run_id, kind="dumb")
    terminal.until("type their number: ")
    terminal.type("4")
    apply = terminal.end()
    assert (sweep.code, apply.code) == (0, 0), (sweep, apply)
    shown = f"$ task-cleanup sweep first.yaml\n{sweep.out}\n$ task-cleanup apply {run_id}\n{apply.out}"
    shown = re.sub(r"apply-[0-9a-f]{40}", "apply-0a1b2c…", shown)
    lines = [
        line.rstrip()
        for line in shown.replace(run_id, RUN).replace(str(laptop.folder), "~/.task-cleanup").split("\n")
    ]
    return "\n".join(line for line in lines if not re.match(r"(deleting|listing)", line))


def picture(text: str) -> str:
    """The SVG of this text."""
    console = Console(record=True, width=126, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    for line in text.strip().split("\n"):
        console.print(Text(line, style="bold" if line.startswith("$ ") else ""), soft_wrap=True)
    return console.export_svg(title="task-cleanup", code_format=_FORMAT, unique_id="task-cleanup")


def main() -> None:
    """Write the picture."""
    with Emulators() as cloud, Forks() as forks, tempfile.TemporaryDirectory() as folder:
        for provider in ("alibaba", "huawei", "otc"):
            cloud.add_key(provider, **fake_secret(provider))
        PICTURE.write_text(picture(recorded(Laptop(forks, cloud, Path(folder)))))


if __name__ == "__main__":
    main()
