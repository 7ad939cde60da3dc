"""Algorithm 1, line 2: pretrain a model on the video labels."""

from segment_em import command_line, stages


def main() -> None:
    parser = command_line.training_parser(__doc__)
    parser.add_argument("--index", nargs="+", required=True, help="index chunks of the train split")
    parser.add_argument("--classes", required=True, help="the class list, a CSV with column Index")
    args = parser.parse_args()
    config = dict(args.config)
    video_loss = config.pop("video_loss")
    job = command_line.training_job(args, inputs=[*args.index, args.classes])
    settings = stages.Training(**config)
    stages.pretrain(settings, video_loss, args.index, args.classes, args.out, job)


if __name__ == "__main__":
    command_line.run(main)
