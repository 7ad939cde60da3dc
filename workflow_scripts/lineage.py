"""Print the whole ancestry of a result as a tree, from the artefacts alone."""

import argparse

from segment_em import command_line, lineage


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", help="a result, wherever the folder of results was copied to")
    print("\n".join(lineage.ancestry(parser.parse_args().file)))


if __name__ == "__main__":
    command_line.run(main)
