"""Write submission.csv: the best segments of each class, as the challenge's server took them."""

from segment_em import command_line, outputs, provenance


def main() -> None:
    parser = command_line.parser(__doc__)
    parser.add_argument("--index", nargs="+", required=True, help="index chunks of the test split")
    parser.add_argument("--predictions", nargs="+", required=True, help="chunks of predictions")
    parser.add_argument("--out", required=True, help="submission.csv")
    args = parser.parse_args()
    outputs.submit(args.index, args.predictions, args.config["top_segments"], args.out)
    stamp = provenance.stamp(args.config, [*args.index, *args.predictions])
    provenance.write_how(args.out, stamp)


if __name__ == "__main__":
    command_line.run(main)
