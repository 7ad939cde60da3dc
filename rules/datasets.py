"""The records that experiments work on, and their index."""

from collections.abc import Mapping
from typing import Any

from entries import as_argument, chunked, features_of, files_of

from segment_em.provenance import canonical
from segment_em.terms import SPLITS


class Dataset:
    """The records of one `data.name`, and their index, whichever experiments use it."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.settings = config["data"]
        self.features = features_of(config)
        self.name = self.settings["name"]
        self.folder = f"results/data/{self.name}"
        self.simulated = not any(split in self.settings for split in SPLITS)
        self.chunks = {
            split: chunked(self.record_files(split), self.settings["chunks"]) for split in SPLITS
        }

    def record_files(self, split: str) -> list[str]:
        if not self.simulated:
            return files_of(self.settings[split])
        count = self.settings["simulation"]["files"][split]
        return [f"{self.folder}/{split}-{n:03d}.tfrecord" for n in range(count)]

    @property
    def class_list(self) -> str:
        if self.simulated:
            return f"{self.folder}/segment_label_ids.csv"
        return as_argument(self.settings["segment_classes"])

    @property
    def vocabulary(self) -> str | list[str]:
        """The names of the classes; an empty list where there are none."""
        if self.simulated:
            return f"{self.folder}/vocabulary.csv"
        return as_argument(self.settings["vocabulary"]) if "vocabulary" in self.settings else []

    @property
    def split_check(self) -> str:
        return f"results/index/{self.name}/splits.json"

    def index(self, split: str) -> list[str]:
        """The index chunks of a split."""
        return [self.index_chunk(split, chunk) for chunk in self.chunks[split]]

    def index_chunk(self, split: str, chunk: str) -> str:
        return f"results/index/{self.name}/{split}/{chunk}.h5"

    def index_settings(self) -> str:
        decisive = {key: self.settings[key] for key in ("segment_frames", "on_damage")}
        return canonical({"features": self.features, **decisive})

    def simulation_settings(self, split: str | None = None) -> str:
        """Everything that decides the simulated videos; of a split, the number of its files too.

        Fewer files would all be there already, each with too few videos.
        """
        simulation = dict(self.settings["simulation"])
        files = simulation.pop("files")
        divided = {"files": files[split]} if split else {}
        return canonical({"features": dict(self.features), **simulation, **divided})

    def identity(self) -> str:
        """What experiments on this data have to agree in."""
        simulation = self.simulation_settings() if self.simulated else ""
        lists = [self.class_list, self.vocabulary]
        return canonical([self.index_settings(), self.chunks, lists, simulation])
