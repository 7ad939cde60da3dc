"""mAP@100,000 of models, or of means of models, on rated segments."""

from segment_em import command_line, scoring


def main() -> None:
    parser = command_line.scoring_parser(__doc__)
    parser.add_argument("--index", nargs="+", required=True, help="index chunks of rated videos")
    parser.add_argument(
        "--scorer",
        nargs="+",
        action="append",
        required=True,
        metavar=("NAME", "WEIGHTS"),
        help="a name and the weights that are averaged under it; may be repeated",
    )
    args = parser.parse_args()
    scorers = {name: weights for name, *weights in args.scorer}
    config = dict(args.config)
    measure = scoring.Measure(**config.pop("measure"))
    fraction = config.pop("validation_fraction", None)
    files = [path for weights in scorers.values() for path in weights]
    job = command_line.job(args, inputs=[*args.index, *files])
    settings = scoring.Inference(**config, videos=args.videos)
    scoring.evaluate_models(scorers, args.index, fraction, args.out, settings, measure, job)


if __name__ == "__main__":
    command_line.run(main)
