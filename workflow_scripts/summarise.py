"""Boil an experiment down to a few measures with their bootstrap draws."""

from segment_em import ablation, command_line, provenance


def main() -> None:
    parser = command_line.parser(__doc__)
    parser.add_argument("--table", required=True, help="the experiment's table.csv")
    parser.add_argument("--ratings", nargs="+", required=True, help="test.ratings.csv of its rows")
    parser.add_argument("--selections", nargs="+", required=True, help="selected.json, in order")
    parser.add_argument("--label-sets", nargs="*", default=[], help="CSV files of its E-steps")
    parser.add_argument("--out", required=True, help="summary.json")
    args = parser.parse_args()
    inputs = [args.table, *args.ratings, *args.selections, *args.label_sets]
    stamp = provenance.stamp(args.config, inputs)
    ablation.summarise(
        args.table,
        args.ratings,
        args.selections,
        args.label_sets,
        **args.config,
        out=args.out,
        stamp=stamp,
    )


if __name__ == "__main__":
    command_line.run(main)
