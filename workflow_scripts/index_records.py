"""Index one chunk of record files: what is in them and where; the frames stay in the records."""

from segment_em import command_line, index_files, indexing, provenance


def main() -> None:
    parser = command_line.parser(__doc__)
    parser.add_argument("--records", nargs="+", required=True, help="record files or HDF5 files")
    parser.add_argument("--out", required=True, help="the index file")
    args = parser.parse_args()
    features = dict(args.config["features"])
    skip_damaged = args.config["on_damage"] == "skip"
    segment_frames = args.config["segment_frames"]
    table = indexing.build_index(args.records, features, segment_frames, skip_damaged)
    stamp = provenance.stamp(args.config, []) | {"inputs": provenance.sizes(args.records)}
    index_files.write_index(args.out, table, provenance.described(stamp))
    provenance.write_how(args.out, stamp)


if __name__ == "__main__":
    command_line.run(main)
