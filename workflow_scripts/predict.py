"""Algorithm 1, line 12: the ensemble's scores of one chunk of the test set."""

from segment_em import command_line, ensemble, prediction, scoring


def main() -> None:
    parser = command_line.scoring_parser(__doc__)
    parser.add_argument("--ensemble", required=True, help="members.json, or one model's weights")
    parser.add_argument("--index", required=True, help="index of one chunk of the test split")
    args = parser.parse_args()
    files = ensemble.with_members(args.ensemble)
    job = command_line.job(args, inputs=[*files, *args.weights, args.index])
    settings = scoring.Inference(**args.config, videos=args.videos)
    prediction.predict(args.ensemble, args.index, args.out, settings, job)


if __name__ == "__main__":
    command_line.run(main)
