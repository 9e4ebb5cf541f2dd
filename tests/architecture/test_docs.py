"""The documentation can be walked from the README, and leaves no setting out."""

import re
from pathlib import Path

import pytest

from app.settings import Settings

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)[^)]*\)")


def links(page: Path) -> set[Path]:
    return {(page.parent / link).resolve() for link in LINK.findall(page.read_text())}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path):
    assert [link for link in links(page) if not link.exists()] == []


def test_the_readme_leads_to_every_page():
    assert {page for page in PAGES if page.parent.name == "docs"} <= links(ROOT / "README.md")


def test_every_setting_is_documented():
    operations = (ROOT / "docs" / "operations.md").read_text()
    assert [name for name in Settings.model_fields if f"`HEADWAY_{name.upper()}`" not in operations] == []
