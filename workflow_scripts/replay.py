"""Score the videos that the report shows by one model or ensemble."""

from segment_em import command_line, replay, scoring
from segment_em.held_out import Validation


def main() -> None:
    parser = command_line.scoring_parser(__doc__)
    parser.add_argument("--scorer", required=True, help="selected.json (F), or members.json")
    parser.add_argument("--shown", required=True, help="CSV with the columns part, video_id")
    parser.add_argument("--test", nargs="+", required=True, help="index chunks of the test split")
    parser.add_argument("--segments", nargs="+", required=True, help="index of the rated videos")
    parser.add_argument("--validation-out", required=True, help="--out is of the test videos")
    args = parser.parse_args()
    config = dict(args.config)
    validation = Validation(**config.pop("validation"))
    files = [args.scorer, *args.weights, args.shown, *args.test, *args.segments]
    indexes = {"test": args.test, "validation": args.segments}
    outs = {"test": args.out, "validation": args.validation_out}
    settings = scoring.Inference(**config, videos=args.videos)
    job = command_line.job(args, files)
    scorer = replay.scorer_of(args.scorer)
    replay.replay(scorer, validation, indexes, args.shown, outs, settings, job)


if __name__ == "__main__":
    command_line.run(main)
