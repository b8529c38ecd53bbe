"""The pages: every link leads somewhere, every page is listed, fast tables are what their commands print."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "parity" / "README.md", *sorted(DOCS.rglob("*.md"))]
CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
LINK = re.compile(r"\]\((?!https?://|#|mailto:)([^)#\s]+)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_to_a_file(page):
    text = CODE.sub("", page.read_text(encoding="utf-8"))
    missing = [link for link in LINK.findall(text) if not (page.parent / link).exists()]
    assert missing == []


def test_every_page_is_listed():
    listed = set(re.findall(r"^([a-z0-9/-]+)$", (DOCS / "index.md").read_text(encoding="utf-8"), re.MULTILINE))
    there = {str(page.relative_to(DOCS).with_suffix("")) for page in DOCS.rglob("*.md")} - {"index"}
    assert listed == there


def test_no_page_names_what_a_reader_does_not_have():
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert not re.search(r"\.\./shared|/work/|/root/|/tmp/[a-z]+/", text), page


def test_a_table_that_has_aged_is_noticed(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("<!-- printed: python -c 'print(2.1e-16)' (fast) -->\n```text\n3.0e-16\n```\n<!-- /printed -->\n")
    check = [sys.executable, DOCS / "tables.py", "--check", page]
    assert subprocess.run(check, check=False).returncode == 0  # within a factor of ten
    page.write_text(page.read_text().replace("3.0e-16", "3.0e-12"))
    assert subprocess.run(check, check=False, capture_output=True).returncode == 1
    subprocess.run([sys.executable, DOCS / "tables.py", page], check=True)
    assert "\n2.1e-16\n" in page.read_text()


@pytest.mark.slow
def test_fast_tables_are_what_their_commands_print():
    done = subprocess.run([sys.executable, DOCS / "tables.py", "--check"], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
