"""The experiments of an ablation in three tables."""

from pathlib import Path

from segment_em import ablation, command_line, provenance
from segment_em.tables import write_table


def main() -> None:
    parser = command_line.parser(__doc__)
    parser.add_argument("--summaries", nargs="+", required=True, help="summary.json of each run")
    parser.add_argument("--out", required=True, help="folder of the tables")
    args = parser.parse_args()
    folder = Path(args.out)
    runs = ablation.runs_table(args.config["runs"], args.summaries)
    draws = ablation.Draws(args.config["runs"], args.summaries)
    differences, checks = ablation.differences(draws), ablation.checks(draws, runs)
    stamp = provenance.stamp(args.config, args.summaries)
    for name, table in (("runs", runs), ("differences", differences), ("checks", checks)):
        write_table(folder / f"{name}.csv", table)
        provenance.write_how(folder / f"{name}.csv", stamp)
    for table in (differences, checks):
        print(table.round(4).to_string(index=False), end="\n\n")


if __name__ == "__main__":
    command_line.run(main)
