"""Algorithm 1, line 13, for new videos: what occurs when, by the artefacts of a run alone."""

from segment_em import command_line, ensemble, new_videos


def main() -> None:
    parser = command_line.applying_parser(__doc__)
    parser.add_argument("--ensemble", required=True, help="results/<experiment>/ensemble.json")
    parser.add_argument(
        "--records", nargs="+", required=True, help="record or HDF5 files, or globs in quotes"
    )
    parser.add_argument("--threshold", type=float, help="in place of the run's own, 0 to 1")
    parser.add_argument("--out", required=True, help="the result: .csv, .json or .parquet")
    parser.add_argument("--how", help="file that tells how it came to be: else OUT.how.json")
    args = parser.parse_args()
    args.config = {} if args.threshold is None else {"threshold": args.threshold}
    job = command_line.job(args, inputs=[*ensemble.with_members(args.ensemble), *args.weights])
    # Apart from found.json, which may be a result too.
    how = args.how or f"{args.out}.how.json"
    new_videos.localise(
        args.ensemble, args.records, args.threshold, args.out, how, args.videos, job
    )


if __name__ == "__main__":
    command_line.run(main)
