"""Write report.html: what a run found, and a viewer of its videos, on one page."""

from segment_em import command_line, provenance, report, report_tables


def main() -> None:
    parser = command_line.parser(__doc__)
    parser.add_argument(
        "--results", nargs="+", required=True, help="table.csv and what it tells of"
    )
    parser.add_argument("--figures", nargs="+", required=True, help="SVG and CSV files")
    parser.add_argument("--test", nargs="+", required=True, help="index chunks of the test split")
    parser.add_argument("--segments", nargs="+", required=True, help="index of the rated videos")
    parser.add_argument("--train", nargs="+", required=True, help="index of the train split")
    parser.add_argument(
        "--scores", nargs="+", required=True, help="<scorer>/<part>.h5 of replay.py"
    )
    parser.add_argument(
        "--truth", nargs="*", default=[], help="test.npz and segments.npz, if known"
    )
    parser.add_argument("--out", required=True, help="report.html")
    args = parser.parse_args()
    process = report_tables.Process(**args.config["process"])
    sources = report.Sources(
        args.results,
        args.figures,
        args.test,
        args.segments,
        args.train,
        args.scores,
        args.truth,
    )
    report.write_report(sources, process, report.Page(**args.config["page"]), args.out)
    inputs = [file for files in sources for file in files]
    provenance.write_how(args.out, provenance.stamp(args.config, inputs))


if __name__ == "__main__":
    command_line.run(main)
