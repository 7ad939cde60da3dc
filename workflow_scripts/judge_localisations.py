"""How well the localisations fit the truth, by threshold."""

from segment_em import command_line, localisation_quality, provenance, tables


def main() -> None:
    parser = command_line.parser(__doc__)
    parser.add_argument("--predictions", nargs="+", required=True, help="chunks of the test set")
    parser.add_argument("--truth", required=True, help="truth of the test split (.npz)")
    parser.add_argument("--out", required=True, help="CSV")
    args = parser.parse_args()
    table = localisation_quality.judge(args.predictions, args.truth, **args.config)
    tables.write_table(args.out, table)
    provenance.write_how(args.out, provenance.stamp(args.config, [*args.predictions, args.truth]))


if __name__ == "__main__":
    command_line.run(main)
