"""Algorithm 1, lines 7 and 8: the M-step trains a model on estimated segment labels."""

from segment_em import command_line, stages


def main() -> None:
    parser = command_line.training_parser(__doc__)
    parser.add_argument("--index", nargs="+", required=True, help="index chunks of the train split")
    parser.add_argument("--pseudo-labels", nargs="+", required=True, help="the E-step's chunks")
    parser.add_argument("--label-set", required=True, help="thresholds and positives by class")
    args = parser.parse_args()
    config = dict(args.config)
    estimation = config.pop("estimation")
    job = command_line.training_job(args, inputs=[*args.index, *args.pseudo_labels, args.label_set])
    settings = stages.Training(**config)
    stages.maximise(
        settings, estimation, args.index, args.pseudo_labels, args.label_set, args.out, job
    )


if __name__ == "__main__":
    command_line.run(main)
