"""Put the tables of several finished experiments into one, with what differs between them."""

from segment_em import command_line, comparison, provenance


def main() -> None:
    parser = command_line.parser(__doc__)
    parser.add_argument("--experiments", nargs="+", required=True, help="folders of their results")
    parser.add_argument("--out", required=True, help="table.csv")
    parser.add_argument("--differences", required=True, help="differences.csv")
    args = parser.parse_args()
    print(comparison.compare(args.experiments, args.out, args.differences))
    stamp = provenance.stamp(args.config, [f"{folder}/table.csv" for folder in args.experiments])
    for path in (args.out, args.differences):
        provenance.write_how(path, stamp)


if __name__ == "__main__":
    command_line.run(main)
