"""The documents tell the truth: their Python examples run, and their links to files of the repository lead somewhere."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("packages/*/*.md"), *ROOT.glob("examples/**/*.md")])
FENCE = re.compile(r"^```(python|pycon)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def example(text: str, name: str) -> doctest.DocTest:
    """All `>>>` examples in the fenced blocks of a document, as one session."""
    session = "\n\n".join(block for _, block in FENCE.findall(text))
    return doctest.DocTestParser().get_doctest(session, {"__name__": "__main__"}, name, name, 0)


def run(text: str, name: str) -> doctest.TestResults:
    output: list[str] = []
    result = doctest.DocTestRunner(optionflags=OPTIONS).run(example(text, name), out=output.append)
    assert result.failed == 0, "".join(output)
    return result


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_examples_run(path: Path) -> None:
    run(path.read_text(encoding="utf-8"), path.name)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path: Path) -> None:
    targets = [link.partition("#")[0] for link in LINK.findall(path.read_text(encoding="utf-8")) if "://" not in link]
    assert [target for target in targets if target and not (path.parent / target).exists()] == []


def test_the_runner_sees_examples_and_their_failures() -> None:
    assert run("```python\n>>> 1 + 1\n2\n```\n\ntext\n\n```pycon\n>>> x = 3\n>>> x\n3\n```\n", "good").attempted == 3
    with pytest.raises(AssertionError, match="Expected:"):
        run("```python\n>>> 1 + 1\n3\n```\n", "bad")
