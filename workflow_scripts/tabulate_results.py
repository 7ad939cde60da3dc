"""Collect every model's scores into table.csv and print it."""

from segment_em import command_line, provenance, tables


def main() -> None:
    parser = command_line.parser(__doc__)
    parser.add_argument(
        "--results", nargs="+", required=True, help="validation, test and selected.json of all"
    )
    parser.add_argument("--out", required=True, help="table.csv")
    args = parser.parse_args()
    table = tables.results_table(args.results, args.config["members"], args.config["controls"])
    tables.write_table(args.out, table)
    provenance.write_how(args.out, provenance.stamp(args.config, args.results))
    print(tables.printable(table))


if __name__ == "__main__":
    command_line.run(main)
