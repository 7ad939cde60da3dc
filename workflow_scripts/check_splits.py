"""Check that splits go together, before anything is trained: videos apart, features alike."""

from segment_em import command_line, provenance, splits
from segment_em.terms import SPLITS


def main() -> None:
    parser = command_line.parser(__doc__)
    for split in SPLITS:
        parser.add_argument(f"--{split}", nargs="+", required=True, help="its index chunks")
    parser.add_argument("--out", required=True, help="JSON with what was found of each")
    args = parser.parse_args()
    paths = {split: getattr(args, split) for split in SPLITS}
    splits.check_splits(paths, args.out)
    inputs = [path for part in paths.values() for path in part]
    provenance.write_how(args.out, provenance.stamp(args.config, inputs))


if __name__ == "__main__":
    command_line.run(main)
