"""The part of the configuration that decides the result of a job, for the jobs that compute."""

import zlib
from collections.abc import Mapping
from typing import Any

from entries import features_of, options_of, split_member, threshold_of

from segment_em.provenance import canonical


class JobSettings:
    """Settings as canonical text, a method a kind of job.

    `run` is a model's folder, such as em/iteration-1/bigru@video_prior or controls/bigru.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.config, self.em = config, config["em"]

    def model(self, run: str) -> Mapping[str, Any]:
        """The entry under `models` of a run, a member or a model."""
        return self.config["models"][split_member(run.rpartition("/")[2])[0]]

    def preflight(self, compared: bool) -> str:
        """compared: whether the experiment is one of an ablation."""
        data = self.config["data"]
        keys = ("max_frames", "segment_frames", "validation_fraction")
        decide = {
            "threshold": threshold_of(self.config),
            "submission": self.config["evaluation"]["submission"],
            "unrated_negatives": self.config["training"]["finetune"]["unrated_negatives"],
            "compared": compared,
        }
        return canonical({key: data[key] for key in keys} | decide)

    def video_loss(self, run: str) -> str:
        """The pooling of a model's video loss: its own, or that of all."""
        of_all = self.config["training"]["video_loss"]
        return self.model(run)["training"].get("video_loss", of_all)

    def pretrain(self, run: str) -> str:
        return self._training(run, "pretrain", video_loss=self.video_loss(run))

    def maximise(self, run: str) -> str:
        taken = {key: self.em[key] for key in ("labels", "agreement")}
        return self._training(run, "m_step", estimation=split_member(run)[1], **taken)

    def finetune(self, run: str, again: bool = False) -> str:
        """again: on all ratings, to join an ensemble."""
        held_out = None if again else self.config["data"]["validation_fraction"]
        return self._training(
            run,
            "finetune",
            validation_fraction=held_out,
            unrated_negatives=self.config["training"]["finetune"]["unrated_negatives"],
        )

    def _training(self, run: str, stage: str, **extra: Any) -> str:
        model, training = self.model(run), self.config["training"]
        plan = training[stage]
        return canonical(
            {
                "architecture": model["architecture"],
                "options": options_of(model),
                "features": features_of(self.config),
                "max_frames": self.config["data"]["max_frames"],
                "segment_frames": self.config["data"]["segment_frames"],
                "learning_rate": model["training"]["learning_rate"] * plan["learning_rate_factor"],
                "batch": model["training"]["batch"],
                "epochs": plan["epochs"],
                "least_steps": training["least_steps"],
                "average_epochs": plan["average_epochs"],
                "decay": training["decay"],
                "clip_norm": training["clip_norm"],
                "precision": training["precision"],
                # Each model draws its own numbers, whatever else is trained beside it.
                "seed": zlib.crc32(f"{self.config['seed']}/{run}/{stage}".encode()),
                **extra,
            }
        )

    def scoring(self, **extra: Any) -> str:
        """What every job that scores videos depends on, beside its input files."""
        return canonical(self._inference() | extra)

    def _inference(self) -> dict[str, Any]:
        return {
            "max_frames": self.config["data"]["max_frames"],
            "segment_frames": self.config["data"]["segment_frames"],
            "precision": self.config["training"]["precision"],
        }

    def description(self) -> str:
        """What ensemble.json says beside the members and the names of the classes."""
        return canonical(
            {
                "inference": self._inference(),
                "threshold": self.config["localisation"]["threshold"],
            }
        )

    def evaluation(self, part: str) -> str:
        """part: validation (the held-out part of the rated videos) or test."""
        evaluation = self.config["evaluation"]
        measure = {
            "top_segments": evaluation["top_segments"],
            "replicates": evaluation["bootstrap_replicates"],
            "seed": self.config["seed"],
        }
        extra = {}
        if part == "validation":
            extra["validation_fraction"] = self.config["data"]["validation_fraction"]
        return self.scoring(measure=measure, **extra)

    def estimation(self) -> str:
        return self.scoring(**self.em["keep"])

    def threshold(self, estimation: str) -> str:
        threshold, floor = threshold_of(self.config), self.em["keep"]["floor"]
        return canonical({"threshold": threshold, "estimation": estimation, "floor": floor})

    def selection(self, i: int | str) -> str:
        stages = ["finetuned"] if int(i) else [self.em["initial_stage"]]
        return canonical({"stages": stages, **self._comparison()})

    def calibration(self) -> str:
        return canonical({"calibration": self.em["calibration"]})

    def _comparison(self) -> dict[str, Any]:
        """How models are compared on validation, and the draws of videos behind standard errors."""
        evaluation = self.config["evaluation"]
        return {
            "criterion": evaluation["criterion"],
            "replicates": evaluation["bootstrap_replicates"],
            "seed": self.config["seed"],
        }

    def summary(self) -> str:
        return canonical({"replicates": self.config["evaluation"]["bootstrap_replicates"]})

    def ensemble(self, joins: Mapping[str, str]) -> str:
        """joins: of each model that may join, {weights that validation judged: that join}."""
        ensemble = self.config["ensemble"]
        joining = {key: ensemble[key] for key in ("weights", "join", "video_filter", "shifts")}
        return canonical({"joins": joins, **joining, **self._comparison()})

    def teacher(self, joins: Mapping[str, str]) -> str:
        """As ensemble, for a mean that teaches: how the ensemble is joined changes no E-step."""
        joining = {"weights": "validation", "join": "mean", "video_filter": 0.0, "shifts": [0]}
        return canonical({"joins": joins, **joining, **self._comparison()})
