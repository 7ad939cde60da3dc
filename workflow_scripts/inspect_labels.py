"""What an E-step did: labels by class and estimation, where they agree, and what is true."""

from segment_em import command_line, inspection, provenance, tables


def main() -> None:
    parser = command_line.parser(__doc__)
    parser.add_argument("--pseudo-labels", nargs="+", required=True, help="the E-step's chunks")
    parser.add_argument(
        "--label-set",
        nargs=2,
        action="append",
        required=True,
        metavar=("ESTIMATION", "CSV"),
        help="its thresholds; may be repeated",
    )
    parser.add_argument(
        "--calibration", nargs="?", help="calibration.json, if the scores are calibrated"
    )
    parser.add_argument(
        "--truth", nargs="?", help="truth of the train split (.npz), where it is known"
    )
    parser.add_argument("--out", required=True, help="CSV")
    args = parser.parse_args()
    label_sets = dict(args.label_set)
    found = inspection.inspect(
        args.pseudo_labels, label_sets, args.calibration, args.truth, **args.config
    )
    tables.write_table(args.out, found)
    optional = [file for file in (args.calibration, args.truth) if file]
    inputs = [*args.pseudo_labels, *label_sets.values(), *optional]
    provenance.write_how(args.out, provenance.stamp(args.config, inputs))


if __name__ == "__main__":
    command_line.run(main)
