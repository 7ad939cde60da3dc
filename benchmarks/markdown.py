"""Print a table of results as Markdown, for docs/results.md: mAP to three places."""

import sys

import pandas as pd


def main() -> None:
    for path in sys.argv[1:]:
        table = pd.read_csv(path, keep_default_na=False)
        table = table.map(rounded)
        print(f"| {' | '.join(table.columns)} |\n|{'---|' * len(table.columns)}")
        for row in table.itertuples(index=False):
            print(f"| {' | '.join(map(str, row))} |")


def rounded(value: object) -> str:
    try:
        number = float(str(value))
    except ValueError:
        return str(value)
    return f"{number:.0f}" if number.is_integer() else f"{number:.3f}"


if __name__ == "__main__":
    main()
