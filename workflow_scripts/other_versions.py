"""Name the results in some folders that were made with other versions than are installed now."""

import argparse

from segment_em import command_line, provenance


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", help="such as results/demo")
    for file in provenance.other_versions(parser.parse_args().folders):
        print(file)


if __name__ == "__main__":
    command_line.run(main)
