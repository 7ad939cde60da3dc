"""Choose the videos that the report shows."""

from segment_em import command_line, provenance, shown_videos


def main() -> None:
    parser = command_line.parser(__doc__)
    parser.add_argument("--test", nargs="+", required=True, help="index chunks of the test split")
    parser.add_argument("--predictions", nargs="+", required=True, help="its chunks of predictions")
    parser.add_argument("--segments", nargs="+", required=True, help="index of the rated videos")
    parser.add_argument("--out", required=True, help="CSV with the columns part, video_id")
    args = parser.parse_args()
    fraction, limits = args.config["validation_fraction"], args.config["videos"]
    shown_videos.choose(args.test, args.predictions, args.segments, fraction, limits, args.out)
    inputs = [*args.test, *args.predictions, *args.segments]
    provenance.write_how(args.out, provenance.stamp(args.config, inputs))


if __name__ == "__main__":
    command_line.run(main)
