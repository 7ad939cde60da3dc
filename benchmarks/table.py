"""Print what the benchmarks wrote as one table; with --write, put it into docs/performance.md.

The table stands in the document between two marks; the text around it is written by hand.
"""

import argparse
import json
from pathlib import Path

from measure import ROOT, Row, number, wanted

ORDER = (
    "reader",
    "batches",
    "steps",
    "estep",
    "metric",
    "submission",
    "demo",
    "memory",
    "plan",
    "page",
    "gpu",
)
DOCUMENT = ROOT / "docs/performance.md"
MARKS = "<!-- figures: benchmarks/table.py -->\n", "<!-- end of figures -->\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=ROOT / "results/benchmarks")
    parser.add_argument("--write", action="store_true", help="into docs/performance.md")
    args = parser.parse_args()
    text = table(found(args.results))
    print(text)
    if args.write:
        before, _, after = split(DOCUMENT.read_text(encoding="utf-8"))
        DOCUMENT.write_text(f"{before}{MARKS[0]}{text}{MARKS[1]}{after}", encoding="utf-8")


def found(folder: Path) -> list[dict]:
    """What each benchmark wrote, in the order of the document, as far as they have run."""
    paths = [folder / f"{name}.json" for name in ORDER]
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths if path.exists()]


def split(document: str) -> tuple[str, str, str]:
    before, rest = document.split(MARKS[0])
    inside, after = rest.split(MARKS[1])
    return before, inside, after


def table(results: list[dict]) -> str:
    """Markdown: a line a figure, then where the figures come from."""
    lines = ["| what | figure | baseline | ratio | asked |", "|---|---|---|---|---|"]
    for result in results:
        for content in result["rows"]:
            content.pop("met")
            lines.append(line(Row(**content)))
    lines += ["", *(origin(result) for result in results), ""]
    return "\n".join(lines)


def line(row: Row) -> str:
    if row.figure is None:
        figure, baseline = f"not measured: {row.why}", row.against
    else:
        figure = f"{number(row.figure)} {row.unit}"
        baseline = row.against
        if row.baseline is not None:
            baseline = f"{number(row.baseline)}, {row.against}"
    ratio = ""
    if row.ratio is not None:
        ratio = f"{row.ratio:.2f} ({min(row.ratios):.2f} to {max(row.ratios):.2f})"
    return f"| {row.what} | {figure.strip()} | {baseline} | {ratio} | {wanted(row)} |"


def origin(result: dict) -> str:
    """One benchmark's command, machine, commit and load."""
    machine = result["machine"]
    clean = "" if result["git_clean"] else " with changes"
    return (
        f"- `{result['command']}`: {machine['cpu']}, {machine['cores']} cores, "
        f"GPU: {machine['gpu'] or 'none'}, load {machine['load_a_minute']}, "
        f"torch {result['versions']['torch']}, commit {str(result['git_commit'])[:8]}{clean}, "
        f"{result['started'][:10]}, {result['seconds']:.0f} s"
    )


if __name__ == "__main__":
    main()
