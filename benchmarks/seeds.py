"""Run a configuration for several seeds of simulation and training together, and average.

Writes a table with mean and standard deviation over the seeds, and prints what the process is
expected to do, with the mean of each difference: iterations rise, the ensemble holds, EM helps.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import pandas as pd
import yaml
from expectations import KEYS, report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--configfile", default="config.yaml", help="overlay on config.yaml")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--out", required=True, help="CSV of means and standard deviations")
    args = parser.parse_args()
    name = yaml.safe_load(Path(args.configfile).read_text(encoding="utf-8"))["experiment"]
    tables = [run(name, seed, args) for seed in args.seeds]
    Path(args.out).parent.mkdir(parents=True, exist_ok=True)
    averaged(tables).to_csv(args.out, index=False, lineterminator="\n")
    report(tables)


def run(name: str, seed: int, args: argparse.Namespace) -> pd.DataFrame:
    """The table of one seed."""
    experiment = f"{name}-seed-{seed}"
    data = f"{{name: simulated-{seed}, simulation: {{seed: {seed}}}}}"
    subprocess.run(
        [
            *(sys.executable, "-m", "snakemake", "--cores", str(args.cores)),
            *("--configfile", args.configfile, "--config"),
            *(f"experiment={experiment}", f"seed={seed}", f"data={data}"),
        ],
        check=True,
    )
    return pd.read_csv(f"results/{experiment}/table.csv")


def averaged(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """Mean and standard deviation of each row over the seeds, in the order of the first table."""
    joined = pd.concat(tables).astype({"iteration": "Int64"})
    groups = joined.groupby(KEYS, sort=False, dropna=False)
    scores = groups[["validation_map", "test_map"]].agg(["mean", "std"])
    scores.columns = ["_".join(column) for column in scores.columns]
    return scores.reset_index()


if __name__ == "__main__":
    main()
