"""Look at the index before anything is trained: what will starve or is left out."""

import numpy as np

from segment_em import command_line, preflight, provenance
from segment_em.class_lists import read_class_list, read_vocabulary
from segment_em.index_files import read_index
from segment_em.tables import write_table


def main() -> None:
    parser = command_line.parser(__doc__)
    parser.add_argument("--train", nargs="+", required=True, help="index chunks of the train split")
    parser.add_argument("--segments", nargs="+", required=True, help="those of the rated videos")
    parser.add_argument("--test", nargs="+", required=True, help="those of the test set")
    parser.add_argument("--classes", required=True, help="CSV with a column Index")
    parser.add_argument("--vocabulary", nargs="?", help="CSV with columns Index, Name")
    parser.add_argument("--out", required=True, help="preflight.csv")
    args = parser.parse_args()
    planned = preflight.PlannedRun(**args.config)
    paths = {"train": args.train, "segments": args.segments, "test": args.test}
    splits = {split: read_index(chunks) for split, chunks in paths.items()}
    names = read_vocabulary(args.vocabulary) if args.vocabulary else {}
    class_ids = np.array(read_class_list(args.classes))
    table = preflight.class_table(splits["train"], splits["segments"], class_ids, names, planned)
    write_table(args.out, table)
    inputs = [*args.train, *args.segments, *args.test, args.classes]
    inputs += [args.vocabulary] if args.vocabulary else []
    provenance.write_how(args.out, provenance.stamp(args.config, inputs))
    preflight.report(table, splits, planned)


if __name__ == "__main__":
    command_line.run(main)
