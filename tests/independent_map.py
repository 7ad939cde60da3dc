"""mAP@100,000 of a submission, written from the challenge's definition in plain Python.

Shares no code with the project, so that it can stand against it:
    python tests/independent_map.py submission.csv ratings.csv
submission.csv: `Class,Segments`, then a line a class: the id, a comma, `video_id:start ...`, best
first. ratings.csv: columns video_id, start, class, score (1 the class occurs, 0 it does not).
"""

import csv
import sys


def read_ratings(path):
    """class id -> {(video id, start): whether the class occurs}"""
    ratings = {}
    with open(path, encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            score = float(row["score"])
            if score not in (0.0, 1.0):
                raise ValueError(f"{path}: score {row['score']!r} is neither 0 nor 1")
            segment = (row["video_id"], int(row["start"]))
            of_class = ratings.setdefault(int(row["class"]), {})
            if segment in of_class:
                raise ValueError(f"{path}: {segment} is rated twice for class {row['class']}")
            of_class[segment] = score == 1.0
    return ratings


def read_submission(path):
    """class id -> list of (video id, start), best first"""
    submission = {}
    with open(path, encoding="utf-8", newline="\n") as file:
        if file.readline() != "Class,Segments\n":
            raise ValueError(f"{path}: the header is not Class,Segments")
        for line in file:
            class_id, _, segments = line.rstrip("\n").partition(",")
            ranked = []
            for segment in segments.split():
                video_id, _, start = segment.rpartition(":")
                ranked.append((video_id, int(start)))
            if len(set(ranked)) != len(ranked):
                raise ValueError(f"{path}: class {class_id} lists a segment twice")
            if int(class_id) in submission:
                raise ValueError(f"{path}: class {class_id} has two lines")
            submission[int(class_id)] = ranked
    return submission


def average_precision(ranked, occurs, cut):
    """Precision at each hit among the rated of the first `cut`, over all rated positives."""
    seen = 0
    hits = 0
    total = 0.0
    for segment in ranked[:cut]:
        if segment not in occurs:
            continue
        seen += 1
        if occurs[segment]:
            hits += 1
            total += hits / seen
    return total / sum(occurs.values())


def mean_average_precision(submission_path, ratings_path, cut=100_000):
    """Mean of the average precision over the classes that have a rated positive."""
    submission = read_submission(submission_path)
    precisions = []
    for class_id, occurs in sorted(read_ratings(ratings_path).items()):
        if any(occurs.values()):
            precisions.append(average_precision(submission.get(class_id, []), occurs, cut))
    if not precisions:
        raise ValueError(f"{ratings_path}: no positive rating, so that there is no mAP")
    return sum(precisions) / len(precisions)


if __name__ == "__main__":
    print(f"{mean_average_precision(sys.argv[1], sys.argv[2]):.9f}")
