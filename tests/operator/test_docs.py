"""docs/ and README say what is so."""

import re
import textwrap
from pathlib import Path

from mailoperator.manifests import load
from mailoperator.model import MailboxSpec, MailDomainSpec
from mailoperator.references import check

ROOT = Path(__file__).parents[2]


def indented(page: str) -> list[str]:
    """The indented blocks of a Markdown page."""
    blocks = re.findall(r"(?:^    .*\n|^\n(?=    ))+", (ROOT / page).read_text(), re.MULTILINE)
    return [textwrap.dedent(block).strip("\n") + "\n" for block in blocks]


def test_the_first_mailbox_can_be_applied(tmp_path: Path) -> None:
    first, password, *_ = [block for block in indented("docs/first-mailbox.md") if "name:" in block]
    for number, text in enumerate((first, first + password)):
        file = tmp_path / f"{number}.yaml"
        file.write_text(text)
        check(load([file]))


def test_every_field_is_described() -> None:
    page = (ROOT / "docs/manifests.md").read_text()
    for spec, heading in ((MailDomainSpec, "## MailDomain"), (MailboxSpec, "## Mailbox\n")):
        table = page.partition(heading)[2].partition("\n## ")[0]
        rows = re.findall(r"^\| `(\w+)", table, re.MULTILINE)
        assert set(rows) == {info.alias for info in spec.model_fields.values()}


def test_the_map_names_what_is_there() -> None:
    text = (ROOT / "README.md").read_text().partition("## Where things are")[2]
    top = ""
    for line in re.findall(r"^    ( *)(\S+/|\S+\.py)(?:  (\S+\.py|\S+/)(?:  (\S+/))?)?  ", text, re.MULTILINE):
        depth, *names = line
        for name in filter(None, names):
            path = ROOT / (top if depth else "") / name
            assert path.exists(), path
        if not depth:
            top = names[0]


def test_links_lead_somewhere() -> None:
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page}: {target}"
