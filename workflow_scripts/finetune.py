"""Algorithm 1, lines 3 and 9: fine-tune a model on the human ratings."""

from segment_em import command_line, stages


def main() -> None:
    parser = command_line.training_parser(__doc__)
    parser.add_argument("--index", nargs="+", required=True, help="index chunks of rated videos")
    parser.add_argument("--weights", required=True, help="the pretrained model")
    args = parser.parse_args()
    config = dict(args.config)
    fraction, negatives = (config.pop(k) for k in ("validation_fraction", "unrated_negatives"))
    job = command_line.training_job(args, inputs=[*args.index, args.weights])
    settings = stages.Training(**config)
    stages.finetune(settings, fraction, negatives, args.weights, args.index, args.out, job)


if __name__ == "__main__":
    command_line.run(main)
