"""Check that splits go together, before anything is trained: videos apart, features alike."""

from segment_em import command_line, provenance, splits


def main() -> None:
    parser = command_line.parser(__doc__)
    for split in ("train", "segments", "test"):
        parser.add_argument(f"--{split}", nargs="+", required=True, help="its index chunks")
    parser.add_argument("--out", required=True, help="JSON with what was found of each")
    args = parser.parse_args()
    paths = {"train": args.train, "segments": args.segments, "test": args.test}
    splits.check_splits(paths, args.out)
    inputs = [path for part in paths.values() for path in part]
    provenance.write_how(args.out, provenance.stamp(args.config, inputs))


if __name__ == "__main__":
    command_line.run(main)
