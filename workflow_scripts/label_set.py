"""Thresholds by class under one estimation, and the positives that they leave of each class."""

from segment_em import command_line, label_sets, provenance
from segment_em.files import replacing


def main() -> None:
    parser = command_line.parser(__doc__)
    parser.add_argument("--pseudo-labels", nargs="+", required=True, help="the E-step's chunks")
    parser.add_argument("--out", required=True, help="CSV with a row a class")
    args = parser.parse_args()
    options = dict(args.config["threshold"])
    rule = options.pop("rule")
    table = label_sets.label_set(args.pseudo_labels, args.config["estimation"], rule, options)
    with replacing(args.out) as temporary:
        table.to_csv(temporary, index=False, lineterminator="\n")
    provenance.write_how(args.out, provenance.stamp(args.config, args.pseudo_labels))


if __name__ == "__main__":
    command_line.run(main)
