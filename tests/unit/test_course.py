import re
from pathlib import Path

import pytest

from scripts.processes import ROOT

COURSE = ROOT / "docs" / "course"
KOREAN = COURSE / "ko"
CHAPTERS = sorted(path.name for path in COURSE.glob("*.md"))
PAGES = sorted(COURSE.rglob("*.md"))

FENCED = re.compile(r"^ *(`{3,})[^`\n]*\n.*?^ *\1 *$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#{1,6} ", re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def code(page: Path) -> list[str]:
    return [block.group() for block in FENCED.finditer(page.read_text())]


def prose(page: Path) -> str:
    return FENCED.sub("", page.read_text())


def relative_links(page: Path) -> list[str]:
    targets = (link.partition("#")[0] for link in LINK.findall(prose(page)))
    return [target for target in targets if target and "://" not in target]


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_shows_the_same_code_in_korean(chapter: str) -> None:
    assert code(KOREAN / chapter) == code(COURSE / chapter)


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_has_as_many_headings_in_korean(chapter: str) -> None:
    english, korean = (HEADING.findall(prose(folder / chapter)) for folder in (COURSE, KOREAN))
    assert korean == english


def test_no_korean_chapter_outlives_its_original() -> None:
    assert {path.name for path in KOREAN.glob("*.md")} == {*CHAPTERS, "glossary.md"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(COURSE)))
def test_links_of_a_page_lead_to_files_that_exist(page: Path) -> None:
    missing = [link for link in relative_links(page) if not (page.parent / link).exists()]
    assert not missing
