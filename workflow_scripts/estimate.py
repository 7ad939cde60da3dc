"""Algorithm 1, lines 5 and 6: the E-step stores the teacher's scores of one chunk."""

from segment_em import command_line, scoring


def main() -> None:
    parser = command_line.scoring_parser(__doc__)
    parser.add_argument("--teacher", required=True, help="weights of the best model so far")
    parser.add_argument("--index", required=True, help="index of one chunk of the train split")
    args = parser.parse_args()
    config = dict(args.config)
    floor, top = config.pop("floor"), config.pop("top")
    job = command_line.job(args, inputs=[args.teacher, args.index])
    settings = scoring.Inference(**config, videos=args.videos)
    scoring.estimate(args.teacher, args.index, floor, top, args.out, settings, job)


if __name__ == "__main__":
    command_line.run(main)
