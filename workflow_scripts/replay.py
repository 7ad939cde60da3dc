"""Score the videos that the report shows by one model or ensemble."""

from segment_em import command_line, ensemble, replay, scoring


def main() -> None:
    parser = command_line.scoring_parser(__doc__)
    parser.add_argument("--scorer", required=True, help="weights, or a members.json")
    parser.add_argument("--shown", required=True, help="CSV with the columns part, video_id")
    parser.add_argument("--test", nargs="+", required=True, help="index chunks of the test split")
    parser.add_argument("--segments", nargs="+", required=True, help="index of the rated videos")
    parser.add_argument("--validation-out", required=True, help="--out is of the test videos")
    args = parser.parse_args()
    read = [ensemble.with_members(args.scorer, validated) for validated in (False, True)]
    files = [*(file for members in read for file in members), *args.weights]
    files += [args.shown, *args.test, *args.segments]
    indexes = {"test": args.test, "validation": args.segments}
    outs = {"test": args.out, "validation": args.validation_out}
    settings = scoring.Inference(**args.config, videos=args.videos)
    job = command_line.job(args, files)
    replay.replay(args.scorer, indexes, args.shown, outs, settings, job)


if __name__ == "__main__":
    command_line.run(main)
