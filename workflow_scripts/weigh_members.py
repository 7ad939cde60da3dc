"""The members of an ensemble and how much each counts."""

from segment_em import candidates, command_line, provenance, ratings_table, weighing


def main() -> None:
    parser = command_line.parser(__doc__)
    parser.add_argument("--validation", nargs="+", required=True, help="validation.json of each")
    parser.add_argument(
        "--earlier",
        nargs="*",
        default=[],
        help="validation.json of earlier iterations' members, if they may stand in",
    )
    parser.add_argument(
        "--before", nargs="*", default=[], help="selected.json before, if its teacher joins too"
    )
    parser.add_argument("--out", required=True, help="members.json")
    args = parser.parse_args()
    config = dict(args.config)
    comparison = (config.pop(key) for key in ("criterion", "replicates", "seed"))
    by = candidates.Comparison(*comparison)
    joins = config.pop("joins")
    joining = weighing.Joining(**config)
    validation = [*args.validation, *args.earlier]
    inputs = [*validation, *map(ratings_table.beside, validation), *args.before]
    stamp = provenance.stamp(args.config, inputs)
    before = args.before[0] if args.before else None
    files = (args.validation, args.earlier, joins, before)
    weighing.weigh(*files, joining, by, args.out, stamp)


if __name__ == "__main__":
    command_line.run(main)
