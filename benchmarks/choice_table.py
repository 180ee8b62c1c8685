"""The table of docs/choice.md, from the results of ``benchmarks/choice.py``.

    python -m benchmarks.choice_table [results.json] [--print]

writes it between ``<!-- benchmark:choice:begin -->`` and ``<!-- benchmark:choice:end -->``; with
``--print`` it is printed only.
"""

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.softmax_regression.table import write_parts

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results" / "choice.json"
Found = dict[str, Any]


def main() -> None:
    words = [word for word in sys.argv[1:] if word != "--print"]
    results = json.loads((Path(words[0]) if words else RESULTS).read_text("utf-8"))
    text = table(results)
    print(text)
    if "--print" not in sys.argv:
        write_parts(ROOT / "docs" / "choice.md", {"choice": text})


def table(results: Found) -> str:
    """A row for each comparison: times, ratio with quartiles, aim, reached."""
    lines = [
        "| task | crossent, ms | rival, ms | times faster (quartiles) | aim | reached |",
        "|---|---|---|---|---|---|",
        *_rows(results),
        "",
        *_notes(results),
        "",
        _stamp(results),
    ]
    return "\n".join(lines)


def _rows(results: Found) -> list[str]:
    llmfao, football, million = (results[k] for k in ("llmfao", "football", "million"))
    rows = []
    if "seconds" in llmfao:
        title = "8,931 votes, 59 models: fit from a pandas table"
        rows += [
            _row(title, llmfao, "evalica", "evalica from lists", 4),
            _row(title, llmfao, "evalica, pandas columns", "evalica from the same table", 4),
            _row(title, llmfao, "choix", "choix", 20),
            _row(
                "the same, 1000 bootstrap refits",
                llmfao["bootstrap"],
                "evalica, 1000 fits",
                "1000 fits of evalica",
                50,
            ),
        ]
    if "seconds" in football:
        title = "49,463 matches, 316 teams: draws and home advantage"
        rows += [
            _row(
                title, football, "evalica, plain, converged", "evalica, neither, run to its end", 1
            ),
            _row(title, football, "evalica, plain", "evalica, neither, stopped at 1e-8", 1),
        ]
    for kind in ("integers", "strings"):
        title = f"1,000,000 rows, 1,000 items ({kind}): to counts"
        rows.append(
            _row(title, million[f"reduction, {kind}"], "pandas groupby", "pandas groupby", 1)
        )
    whole = million["whole call, strings"]
    rows.append(_row("the same (strings): fit", whole, "evalica", "evalica", 1))
    logit = results["mode_canada"]
    if "seconds" in logit:
        ms = 1000 * logit["seconds"]["crossent"]
        rows.append(
            f"| conditional logit, 2,779 trips, 13 coefficients | {ms:.3g} | | | ≤ 30 ms | "
            f"{_yes(ms <= 30)} |"
        )
    return rows


def _row(title: str, found: Found, rival: str, words: str, aim: float) -> str:
    seconds = found["seconds"]
    if rival not in seconds:
        return (
            f"| {title} | {1000 * seconds['crossent']:.3g} | {words}: not run | | ≥ {aim:g}× | ? |"
        )
    ratio = found["times_faster"][rival]
    spread = f"{ratio['median']:.3g} ({ratio['q1']:.3g} to {ratio['q3']:.3g})"
    return (
        f"| {title} | {1000 * seconds['crossent']:.3g} | {1000 * seconds[rival]:.3g} ({words}) | "
        f"{spread} | ≥ {aim:g}× | {_yes(ratio['median'] >= aim)} |"
    )


def _yes(reached: bool) -> str:
    return "yes" if reached else "**no**"


def _notes(results: Found) -> list[str]:
    """What was found besides times."""
    notes = []
    for name, title in (("llmfao", "votes"), ("football", "matches")):
        losses = results[name].get("log_loss")
        if losses:
            shown = "; ".join(f"{who} {loss:.6f}" for who, loss in losses.items())
            notes.append(f"- Summed loss of the {title}, in nats: {shown}.")
    whole = results["football"].get("all teams, ridge 1e-3")
    if whole:
        notes.append(
            f"- All 337 teams with penalty 1e-3: loss {whole['log_loss']:.2f}, "
            f"ν {whole['tie']:.6f}, home {whole['home']:+.6f}."
        )
    logit = results["mode_canada"]
    if "log_likelihood" in logit:
        cost, error = logit["coefficients"]["cost"]
        notes.append(
            f"- Conditional logit: log-likelihood {logit['log_likelihood']:.4f} (published: "
            f"−1874.3427), cost {cost:.6f} (standard error {error:.6f})."
        )
    lost = results["one_lost_match"]
    notes.append(
        "- 5,000 matches of ten items and one that a new item lost. "
        + "; ".join(f"{who}: {said}" for who, said in lost.items() if who in _PACKAGES)
        + f". Dropped, it changes the others by {lost['largest change of the other ten']:.0e}."
    )
    coverage = results["coverage"]
    for judges in ("judges alike", "judges with tastes"):
        shares = ", ".join(
            f"{kind} {100 * share:.1f} %" for kind, share in coverage[judges].items()
        )
        notes.append(
            f"- 95 % intervals that held the truth, {judges} ({coverage['repeats']} repeats): "
            f"{shares}."
        )
    return notes


_PACKAGES = ("crossent", "evalica", "choix")


def _stamp(results: Found) -> str:
    at = results["machine"]
    parts = [part for part in results.values() if isinstance(part, dict) and "commit" in part]
    commits = ", ".join(dict.fromkeys(part["commit"] for part in parts))
    loads = [part["load"] for part in parts]
    versions = ", ".join(f"{name} {number}" for name, number in results["versions"].items())
    return (
        f"Measured {max(part['date'] for part in parts)[:10]} on {at['cpu']}, {at['cores']} cores, "
        f"one thread for BLAS, load average {min(loads):.1f} to {max(loads):.1f}, commit(s) "
        f"{commits}; {versions}. Times are minima, ratios medians over rounds in turns."
    )


if __name__ == "__main__":
    main()
