"""Algorithm 1, lines 7 and 8: the M-step trains a model on estimated segment labels."""

from segment_em import command_line, maximisation, stages


def main() -> None:
    parser = command_line.training_parser(__doc__)
    parser.add_argument("--index", nargs="+", required=True, help="index chunks of the train split")
    parser.add_argument("--pseudo-labels", nargs="+", required=True, help="the E-step's chunks")
    parser.add_argument("--label-set", required=True, help="thresholds and positives by class")
    parser.add_argument(
        "--calibration", nargs="?", help="calibration.json, if the label set has one"
    )
    args = parser.parse_args()
    config = dict(args.config)
    taken = maximisation.LabelOptions(
        *(config.pop(key) for key in ("estimation", "labels", "agreement"))
    )
    calibration = [args.calibration] if args.calibration else []
    inputs = [*args.index, *args.pseudo_labels, args.label_set, *calibration]
    job = command_line.training_job(args, inputs)
    settings = stages.Training(**config)
    maximisation.maximise(
        settings,
        taken,
        args.index,
        args.pseudo_labels,
        args.label_set,
        args.calibration,
        args.out,
        job,
    )


if __name__ == "__main__":
    command_line.run(main)
