"""E-step: what the teacher's scores mean, by the ratings of the videos held out."""

from segment_em import calibration, command_line, provenance, ratings_table, selection


def main() -> None:
    parser = command_line.parser(__doc__)
    parser.add_argument("--ratings", required=True, help="selected.ratings.csv of the teacher")
    parser.add_argument("--out", required=True, help="calibration.json")
    args = parser.parse_args()
    stamp = provenance.stamp(args.config, [args.ratings])
    table = ratings_table.read(args.ratings)
    scores = table.scores[selection.TEACHER]
    rated = calibration.ScoredRatings(scores, table.classes, table.positive)
    calibration.calibrate(rated, args.config["calibration"], args.out, stamp)


if __name__ == "__main__":
    command_line.run(main)
