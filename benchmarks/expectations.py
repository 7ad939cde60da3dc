"""What the process is expected to do on the simulation, held against tables of test mAP.

The mean over the tables, one a seed, counts. With --strict, exit status 1 if it misses any of it;
with --means, a CSV of the mean and the standard deviation of each row.
"""

import argparse
import sys

import pandas as pd

KEYS = ["kind", "iteration", "model", "estimation", "stage"]
# Table 1 of the paper: .803 of the ensemble less .715 of the logistic model.
PAPERS_GAIN = 0.088


def expectations(table: pd.DataFrame) -> dict[str, tuple[float, float]]:
    """{statement: (difference of test mAP, what it has to reach)} for one table."""
    score = table.set_index(KEYS)["test_map"]
    finetuned = table[(table["kind"] == "member") & (table["stage"] == "finetuned")]
    best = finetuned.groupby("iteration")["test_map"].max()
    last = finetuned[finetuned["iteration"] == best.index.max()]
    ensemble = table.loc[table["kind"] == "ensemble", "test_map"].item()
    controls = table.loc[table["kind"] == "control_ensemble", "test_map"].item()
    video_labels = score[("member", 0, "logistic", "video_labels", "pretrained")]
    found = {
        f"best of iteration {i:.0f} above iteration {i - 1:.0f}": (best[i] - best[i - 1], 0.0)
        for i in best.index[1:]
    }
    found |= {f"teacher {i} above the one before": (rise, 0.0) for i, rise in risen(table).items()}
    found["ensemble at least its best member"] = (ensemble - last["test_map"].max(), 0.0)
    found["ensemble above logistic on video labels"] = (ensemble - video_labels, PAPERS_GAIN)
    found["ensemble above the controls' ensemble"] = (ensemble - controls, 0.0)
    for row in last.itertuples():
        control = score[("control", float("nan"), row.model, "video_labels", "finetuned")]
        found[f"{row.model}@{row.estimation} above its control"] = (row.test_map - control, 0.0)
    return found


def risen(table: pd.DataFrame) -> dict[int, float]:
    """How far the mean that teaches after an iteration is above the teacher before; F was first."""
    first = table[(table["iteration"] == 0) & (table["selected"] == 1)]
    rises = pd.concat([first, table[table["kind"] == "teacher"]])["test_map"].diff()
    return dict(enumerate(rises.iloc[1:], 1))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tables", nargs="+", help="results/<experiment>/table.csv, one a seed")
    parser.add_argument("--strict", action="store_true", help="fail where one is not met")
    parser.add_argument("--means", help="CSV of means and standard deviations over the tables")
    args = parser.parse_args()
    tables = [pd.read_csv(path) for path in args.tables]
    if args.means:
        averaged(tables).to_csv(args.means, index=False, lineterminator="\n")
    met = report(tables)
    sys.exit(args.strict and not met)


def averaged(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """Mean and standard deviation of each row over the seeds, in the order of the first table."""
    joined = pd.concat(tables).astype({"iteration": "Int64"})
    groups = joined.groupby(KEYS, sort=False, dropna=False)
    scores = groups[["validation_map", "test_map"]].agg(["mean", "std"])
    scores.columns = ["_".join(column) for column in scores.columns]
    return scores.reset_index()


def report(tables: list[pd.DataFrame]) -> bool:
    """Print each expectation with its mean over the tables, and whether it is met: are all?"""
    rows = [expectations(table) for table in tables]
    all_met = True
    for statement, (_, wanted) in rows[0].items():
        mean = sum(row[statement][0] for row in rows) / len(rows)
        met = mean >= wanted
        all_met &= met
        print(f"{'yes' if met else 'NO':>3}  {statement}: {mean:+.3f} (at least {wanted:+.3f})")
    return all_met


if __name__ == "__main__":
    main()
