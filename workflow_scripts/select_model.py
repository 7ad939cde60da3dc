"""Algorithm 1, line 10: keep the model that does best on the validation ratings."""

from segment_em import candidates, command_line, provenance, ratings_table, selection


def main() -> None:
    parser = command_line.parser(__doc__)
    parser.add_argument("--validation", nargs="+", required=True, help="validation.json of each")
    parser.add_argument("--weights", nargs="+", required=True, help="what they may be chosen from")
    parser.add_argument(
        "--ensemble",
        nargs="*",
        default=[],
        help="members.json, its validation.json and ratings, if it teaches",
    )
    parser.add_argument(
        "--previous",
        nargs="*",
        default=[],
        help="selected.json, .safetensors, .ratings.csv of the iteration before, if F may stay",
    )
    parser.add_argument("--out", required=True, help="selected.json; weights and ratings beside it")
    args = parser.parse_args()
    config = dict(args.config)
    ratings = map(ratings_table.beside, args.validation)
    inputs = [*args.validation, *ratings, *args.weights, *args.ensemble, *args.previous]
    by = candidates.Comparison(config["criterion"], config["replicates"], config["seed"])
    selection.select(
        args.validation,
        config["stages"],
        args.ensemble[1] if args.ensemble else None,
        selection.Previous(*args.previous) if args.previous else None,
        by,
        args.out,
        provenance.stamp(config, inputs),
    )


if __name__ == "__main__":
    command_line.run(main)
