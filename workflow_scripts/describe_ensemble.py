"""Write ensemble.json: all that localising new videos needs beside the weights."""

from segment_em import class_lists, command_line, ensemble, provenance, splits


def main() -> None:
    parser = command_line.parser(__doc__)
    parser.add_argument("--members", required=True, help="members.json")
    parser.add_argument("--weights", nargs="+", required=True, help="all that may be members")
    parser.add_argument("--splits", required=True, help="splits.json of the data")
    parser.add_argument("--vocabulary", nargs="?", help="CSV with columns Index, Name")
    parser.add_argument("--out", required=True, help="ensemble.json")
    args = parser.parse_args()
    names = class_lists.read_vocabulary(args.vocabulary) if args.vocabulary else {}
    inputs = [
        args.members,
        args.splits,
        *args.weights,
        *([args.vocabulary] if args.vocabulary else []),
    ]
    stamp = provenance.stamp(args.config, inputs)
    rms = splits.trained_scale(args.splits)
    description = ensemble.Description(**args.config, feature_rms=rms, names=names)
    ensemble.describe(args.members, description, args.out, stamp)


if __name__ == "__main__":
    command_line.run(main)
