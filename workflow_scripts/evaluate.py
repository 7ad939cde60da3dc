"""mAP@100,000 of models and ensembles on rated segments."""

from segment_em import command_line, ensemble, evaluation, scoring


def main() -> None:
    parser = command_line.scoring_parser(__doc__)
    parser.add_argument("--index", nargs="+", required=True, help="index chunks of rated videos")
    parser.add_argument(
        "--scorer",
        nargs=2,
        action="append",
        required=True,
        metavar=("NAME", "FILE"),
        help="a name, and weights or a members.json; may be repeated",
    )
    parser.add_argument("--ratings", required=True, help="CSV with each scorer's score of a rating")
    args = parser.parse_args()
    scorers = dict(args.scorer)
    config = dict(args.config)
    measure = evaluation.Measure(**config.pop("measure"))
    fraction = config.pop("validation_fraction", None)
    read = [ensemble.with_members(path, fraction is not None) for path in scorers.values()]
    files = [file for members in read for file in members]
    job = command_line.job(args, inputs=[*args.index, *files, *args.weights])
    settings = scoring.Inference(**config, videos=args.videos)
    evaluation.evaluate_models(
        scorers, args.index, fraction, args.out, args.ratings, settings, measure, job
    )


if __name__ == "__main__":
    command_line.run(main)
