"""Thresholds by class under one estimation, and the positives that they leave of each class."""

from segment_em import calibration, command_line, label_sets, provenance
from segment_em.tables import write_table


def main() -> None:
    parser = command_line.parser(__doc__)
    parser.add_argument("--pseudo-labels", nargs="+", required=True, help="the E-step's chunks")
    parser.add_argument(
        "--calibration", nargs="?", help="calibration.json, if the scores are calibrated"
    )
    parser.add_argument("--out", required=True, help="CSV with a row a class")
    args = parser.parse_args()
    options = dict(args.config["threshold"])
    rule = options.pop("rule")
    calibrated = calibration.read(args.calibration) if args.calibration else None
    table = label_sets.label_set(
        args.pseudo_labels,
        args.config["estimation"],
        rule,
        options,
        calibrated,
        args.config["floor"],
    )
    write_table(args.out, table)
    inputs = [*args.pseudo_labels, *([args.calibration] if args.calibration else [])]
    provenance.write_how(args.out, provenance.stamp(args.config, inputs))


if __name__ == "__main__":
    command_line.run(main)
