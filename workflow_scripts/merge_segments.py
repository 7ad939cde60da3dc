"""Algorithm 1, line 13: write localisations.csv, neighbouring segments merged to intervals."""

from segment_em import command_line, outputs, provenance


def main() -> None:
    parser = command_line.parser(__doc__)
    parser.add_argument("--index", nargs="+", required=True, help="index chunks of the test split")
    parser.add_argument("--predictions", nargs="+", required=True, help="chunks of predictions")
    parser.add_argument("--vocabulary", nargs="?", help="CSV with columns Index, Name")
    parser.add_argument("--out", required=True, help="localisations.csv")
    args = parser.parse_args()
    threshold = args.config["threshold"]
    outputs.localise(args.index, args.predictions, args.vocabulary, threshold, args.out)
    inputs = [*args.index, *args.predictions, *([args.vocabulary] if args.vocabulary else [])]
    provenance.write_how(args.out, provenance.stamp(args.config, inputs))


if __name__ == "__main__":
    command_line.run(main)
