"""Write the class names and the list of segment classes of the simulated YouTube-8M."""

from pathlib import Path

from segment_em import command_line, provenance
from segment_em.simulation.settings import Settings
from segment_em.simulation.writing import write_vocabulary


def main() -> None:
    parser = command_line.parser(__doc__)
    parser.add_argument("--vocabulary", required=True, help="CSV with columns Index, Name")
    parser.add_argument("--segment-classes", required=True, help="CSV with the column Index")
    args = parser.parse_args()
    settings = Settings(**args.config)
    write_vocabulary(settings, Path(args.vocabulary), Path(args.segment_classes))
    for path in (args.vocabulary, args.segment_classes):
        provenance.write_how(path, provenance.stamp(args.config, inputs=[]))


if __name__ == "__main__":
    command_line.run(main)
