"""Write one split of the simulated YouTube-8M as genuine record files, and the truth beside it."""

from pathlib import Path

from segment_em import command_line, provenance, simulation


def main() -> None:
    parser = command_line.parser(__doc__)
    parser.add_argument("--split", required=True, choices=simulation.SPLITS)
    parser.add_argument("--records", nargs="+", required=True, help="record files to write")
    parser.add_argument("--truth", required=True, help="what every frame really shows (.npz)")
    args = parser.parse_args()
    settings = simulation.Settings(**args.config)
    simulation.write_split(settings, args.split, list(map(Path, args.records)), Path(args.truth))
    for path in args.records:
        provenance.write_how(path, provenance.stamp(args.config, inputs=[]))


if __name__ == "__main__":
    command_line.run(main)
