"""The members of an ensemble and how much each counts."""

from segment_em import command_line, ensemble, provenance


def main() -> None:
    parser = command_line.parser(__doc__)
    parser.add_argument("--validation", nargs="+", required=True, help="validation.json of each")
    parser.add_argument("--out", required=True, help="members.json")
    args = parser.parse_args()
    stamp = provenance.stamp(args.config, args.validation)
    ensemble.weigh(args.validation, args.config["weights"], args.out, stamp)


if __name__ == "__main__":
    command_line.run(main)
