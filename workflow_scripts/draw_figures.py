"""Draw the report's figures, each as SVG, and write what it shows as CSV."""

from pathlib import Path

from segment_em import command_line, figures, provenance, report_tables, timeline
from segment_em.class_lists import read_vocabulary


def main() -> None:
    parser = command_line.parser(__doc__)
    parser.add_argument(
        "--results", nargs="+", required=True, help="table.csv and what it tells of"
    )
    parser.add_argument("--told", nargs="+", required=True, help="the .json beside each result")
    parser.add_argument("--vocabulary", nargs="?", help="CSV with columns Index, Name")
    parser.add_argument("--folder", required=True, help="where the figures go")
    args = parser.parse_args()
    names = read_vocabulary(args.vocabulary) if args.vocabulary else {}
    process = report_tables.Process(**args.config)
    results = report_tables.Results([*args.results, *args.told])
    tables = report_tables.every_table(results, process, names)
    written = figures.write_all(*tables, *timeline.timeline(args.told), args.folder)
    vocabulary = [args.vocabulary] if args.vocabulary else []
    stamp = provenance.stamp(args.config, [*args.results, *args.told, *vocabulary])
    for name in written:
        provenance.write_how(Path(args.folder, f"{name}.csv"), stamp)


if __name__ == "__main__":
    command_line.run(main)
