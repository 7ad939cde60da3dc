"""Algorithm 1, lines 5 and 6: the E-step stores the teacher's scores of one chunk."""

from segment_em import command_line, ensemble, estimation, scoring


def main() -> None:
    parser = command_line.scoring_parser(__doc__)
    parser.add_argument("--teacher", required=True, help="selected.json, or weights")
    parser.add_argument("--index", required=True, help="index of one chunk of the train split")
    args = parser.parse_args()
    config = dict(args.config)
    floor, top = config.pop("floor"), config.pop("top")
    job = command_line.job(args, [*ensemble.with_members(args.teacher), *args.weights, args.index])
    settings = scoring.Inference(**config, videos=args.videos)
    estimation.estimate(args.teacher, args.index, floor, top, args.out, settings, job)


if __name__ == "__main__":
    command_line.run(main)
