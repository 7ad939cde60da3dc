"""Write one split of the simulated YouTube-8M as genuine record files, and the truth beside it."""

from pathlib import Path

from segment_em import command_line, provenance
from segment_em.simulation.settings import Settings
from segment_em.simulation.writing import write_split
from segment_em.terms import SPLITS


def main() -> None:
    parser = command_line.parser(__doc__)
    parser.add_argument("--split", required=True, choices=SPLITS)
    parser.add_argument("--records", nargs="+", required=True, help="record files to write")
    parser.add_argument("--truth", required=True, help="what every frame really shows (.npz)")
    args = parser.parse_args()
    settings = Settings(**{key: value for key, value in args.config.items() if key != "files"})
    write_split(settings, args.split, list(map(Path, args.records)), Path(args.truth))
    for path in args.records:
        provenance.write_how(path, provenance.stamp(args.config, inputs=[]))


if __name__ == "__main__":
    command_line.run(main)
