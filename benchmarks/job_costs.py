"""What the jobs of finished runs took: time and peak memory by kind of job.

Reads the *.benchmark.tsv files that Snakemake leaves beside the logs. With --limit-mb, exit
status 1 if any job's resident memory ever went above it.
"""

import argparse
import sys
from pathlib import Path

import pandas as pd


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", help="such as results/demo results/index")
    parser.add_argument("--limit-mb", type=float, help="allowed peak of a job's resident memory")
    args = parser.parse_args()
    jobs = measured(args.folders)
    print(by_kind(jobs).to_string())
    above = jobs[jobs["max_rss"] > args.limit_mb] if args.limit_mb else jobs.iloc[:0]
    for job in above.itertuples():
        print(f"error: {job.file}: {job.max_rss:.0f} MB, allowed are {args.limit_mb:.0f}")
    sys.exit(bool(len(above)))


def measured(folders: list[str]) -> pd.DataFrame:
    """A row a job: file, kind (the file's name), s (wall clock), cpu_time, max_rss (MB).

    Raises SystemExit if there are no measurements: nothing must not read as nothing too large.
    """
    files = sorted(file for folder in folders for file in Path(folder).rglob("*.benchmark.tsv"))
    if not files:
        sys.exit(f"error: no *.benchmark.tsv in {', '.join(folders)}; run the workflow first")
    rows = [pd.read_csv(file, sep="\t").assign(file=str(file), kind=kind(file)) for file in files]
    return pd.concat(rows, ignore_index=True)


def kind(file: Path) -> str:
    """What a job did, from its file: the name, or the folder where files are numbered chunks."""
    name = file.name.removesuffix(".benchmark.tsv")
    return file.parent.name if name.isdigit() else name


def by_kind(jobs: pd.DataFrame) -> pd.DataFrame:
    """Number, summed seconds and peak memory of each kind, the longest first."""
    table = jobs.groupby("kind").agg(
        jobs=("s", "size"), seconds=("s", "sum"), cpu_seconds=("cpu_time", "sum"),
        longest=("s", "max"), peak_mb=("max_rss", "max"),
    )  # fmt: skip
    return table.sort_values("seconds", ascending=False).round(1)


if __name__ == "__main__":
    main()
