"""Algorithm 1, line 10: keep the model that does best on the validation ratings."""

from segment_em import command_line, provenance, selection


def main() -> None:
    parser = command_line.parser(__doc__)
    parser.add_argument("--validation", nargs="+", required=True, help="validation.json of each")
    parser.add_argument("--weights", nargs="+", required=True, help="what they may be chosen from")
    parser.add_argument(
        "--previous",
        nargs="*",
        default=[],
        help="selected.json and .safetensors of the iteration before, if that F may stay",
    )
    parser.add_argument("--out", required=True, help="selected.json; the weights go beside it")
    args = parser.parse_args()
    stamp = provenance.stamp(args.config, [*args.validation, *args.weights, *args.previous])
    selection.select(args.validation, args.config["stages"], args.previous, args.out, stamp)


if __name__ == "__main__":
    command_line.run(main)
