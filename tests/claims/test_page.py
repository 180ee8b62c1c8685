"""docs/claims.md and its figures are what the checks say."""

import math
import re
from pathlib import Path

import pytest

from crossent.claims import Claim, ClaimError, Outcome, Verdict, all_claims, find
from crossent.claims import page as page_module
from crossent.claims.page import figure, main, page

DOCS = Path(__file__).parents[2] / "docs"
REMEDY = "write it anew with: python -m crossent.claims.page"
NUMBER = re.compile(r"(?<![\w.])[-+]?\d+(?:\.\d*)?(?:e[-+]?\d+)?(?![\w.])")
WITH_FIGURE = [claim.id for claim in all_claims() if claim.scene is not None]

pytestmark = pytest.mark.skipif(not DOCS.is_dir(), reason="the documentation is not here")


@pytest.fixture(scope="module")
def written(examined):
    return page([examined(claim.id) for claim in all_claims()])


def texts(svg):
    return sorted(re.findall(r">([^<>]*\S[^<>]*)</(?:text|tspan)>", svg))


def test_the_page_in_the_repository_is_the_one_the_checks_write(written):
    kept = (DOCS / "claims.md").read_text("utf-8").splitlines()
    new = written.splitlines()

    assert len(kept) == len(new), REMEDY
    for old, line in zip(kept, new, strict=True):
        assert NUMBER.sub("#", old) == NUMBER.sub("#", line), REMEDY
        for a, b in zip(NUMBER.findall(old), NUMBER.findall(line), strict=True):
            # Six digits are printed; rounding errors (1e-17) may be others on another machine.
            assert math.isclose(float(a), float(b), rel_tol=2e-5, abs_tol=1e-9), (old, line, REMEDY)


@pytest.mark.parametrize("id", WITH_FIGURE)
def test_the_figures_in_the_repository_show_what_the_scenes_draw(id):
    kept = (DOCS / "claims" / f"{id}.svg").read_text("utf-8")

    assert len(texts(kept)) > 5
    assert texts(kept) == texts(figure(find(id))), REMEDY


@pytest.mark.parametrize("id", WITH_FIGURE[:1])
def test_the_same_figure_gives_the_same_file(id):
    assert figure(find(id)) == figure(find(id))


def test_no_figure_is_left_over():
    files = {path.name for path in (DOCS / "claims").iterdir()}

    assert files == {f"{id}.svg" for id in WITH_FIGURE}


def test_every_link_of_the_page_leads_somewhere(written):
    anchors = set(re.findall(r'<a id="(\w+)"></a>', written))
    links = set(re.findall(r"\]\(#(\w+)\)", written))
    files = set(re.findall(r"!\[S\d+\]\(([^)]+)\)", written))

    assert anchors == {f"s{n}" for n in range(1, 88)} == links
    assert files == {f"claims/{id}.svg" for id in WITH_FIGURE}


def test_tables_have_two_columns_and_code_is_closed(written):
    for line in written.splitlines():
        if line.startswith("| "):
            assert len(re.findall(r"(?<!\\)\|", line)) == 3, line
    assert written.count("```") % 2 == 0


def test_prose_keeps_signs_that_markdown_or_html_would_take(written):
    assert "Σ_{i<j} p_i p_j" in written  # displayed, so as it is
    outside = re.sub(r"```.*?```", "", written, flags=re.S)
    assert re.findall(r"<(?!a id=|/a>)\w", outside) == []
    assert not re.search(r"^[-+*] ", outside, flags=re.M)


def test_a_failed_check_writes_no_page():
    claim = Claim(
        id="S1",
        topic="likelihood",
        statement="1 = 2.",
        source="nowhere",
        verdict=Verdict.FALSE,
        answer="No.",
        check=dict,
    )

    with pytest.raises(ClaimError, match="S1: one is not two"):
        page([Outcome(claim, {}, "one is not two", None, 0.0)])


def test_main_writes_page_and_figures(tmp_path, monkeypatch, examined):
    monkeypatch.setattr(page_module, "examine", lambda claim: examined(claim.id))
    main([str(tmp_path / "new")])

    assert (tmp_path / "new" / "claims.md").read_text("utf-8").startswith("# Claims")
    files = {path.name for path in (tmp_path / "new" / "claims").iterdir()}
    assert files == {f"{id}.svg" for id in WITH_FIGURE}
