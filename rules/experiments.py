"""One run of the process: its models, where its files lie, and what each of them depends on."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from datasets import Dataset
from entries import as_argument, files_of, initial_models, split_member
from job_settings import JobSettings

from segment_em.terms import FINETUNED, PRETRAINED, REFIT, STAGES

# Folders of means of models: what localises, the same of the controls, and what teaches.
FINAL = ENSEMBLE, CONTROL_ENSEMBLE = "ensemble", "controls/ensemble"


class Experiment:
    """One run of the process, in the order of Algorithm 1.

    Files are paths; `settings` has what decides each job. `run` is a model's folder, such as
    em/iteration-1/bigru@video_prior or controls/bigru.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        data: Dataset,
        made: dict[tuple[str, ...], str],
        variation: Mapping[str, Any],
    ) -> None:
        """made: what the experiments before this one make, by what decides it; goes on growing.

        variation: {"data", "variation", "seed"} of an experiment of an ablation, else empty.
        """
        self.config, self.data, self._made, self.variation = config, data, made, variation
        self.settings = JobSettings(config)
        self.em = config["em"]
        self.name = config["experiment"]
        self.folder = f"results/{self.name}"
        self.members = [initial_models(self.em), *self.em["iterations"]]
        self.last = len(self.em["iterations"])
        self.controls = self._controls()
        self._located: dict[str, str] = {}

    def _controls(self) -> list[str]:
        if not (self.config["controls"] and self.last):
            return []
        return list(dict.fromkeys(split_member(member)[0] for member in self.members[self.last]))

    def _file(self, name: str, decides: Callable[[], tuple[str, Iterable[str]]]) -> str:
        """Where a file lies: here, or where an experiment before this one makes the same.

        decides: gives the settings and the input files of the job that makes it.
        """
        if name not in self._located:
            settings, inputs = decides()
            key = (name, settings, *inputs)
            self._located[name] = self._made.setdefault(key, f"{self.folder}/{name}")
        return self._located[name]

    # Who is trained ------------------------------------------------------------------------------

    def runs(self, i: int) -> list[str]:
        """The members of an iteration."""
        return [f"em/iteration-{i}/{member}" for member in self.members[i]]

    def control_runs(self) -> list[str]:
        return [f"controls/{model}" for model in self.controls]

    def all_runs(self) -> list[str]:
        members = [run for i in range(self.last + 1) for run in self.runs(i)]
        return members + self.control_runs()

    def averaged(self, group: str) -> list[str]:
        """The models of an iteration (for the ensemble, the last), or the controls."""
        if group == ENSEMBLE:
            return self.runs(self.last)
        return self.control_runs() if group == CONTROL_ENSEMBLE else self.runs(iteration_of(group))

    def standing_in(self, group: str) -> list[str]:
        """Members of earlier iterations that may take their later self's place in an ensemble."""
        if group != ENSEMBLE or self.config["ensemble"]["members"] != "any":
            return []
        names = set(self.members[self.last])
        earlier = [run for i in range(1, self.last) for run in self.runs(i)]
        return [run for run in earlier if run.rpartition("/")[2] in names]

    def weighed(self, group: str) -> list[str]:
        """The models that validation weighs one by one."""
        return [*self.averaged(group), *self.standing_in(group)]

    def taken_over(self, group: str) -> list[str]:
        """The models of a teacher of before, which is weighed as one."""
        i = self._teacher_of(group)
        return [] if i is None else self._teaching(i + 1)

    def _teacher_of(self, group: str) -> int | None:
        """The iteration whose teacher joins: that of the one before, or with the controls F0."""
        if group not in FINAL:
            return iteration_of(group) - 1 if self._keeps else None
        if self.config["ensemble"]["members"] != "with_teacher" or not self.last:
            return None
        return self.last - 1 if group == ENSEMBLE else 0

    def may_join(self, group: str) -> list[str]:
        """All models that an ensemble may hold."""
        return [*self.weighed(group), *self.taken_over(group)]

    def teachers(self) -> list[str]:
        """The means that teach, one for each iteration but 0; empty where F does."""
        if self.em["teacher"] == "best":
            return []
        return [teaching(i) for i in range(1, self.last + 1)]

    def groups(self) -> list[str]:
        return [ENSEMBLE, CONTROL_ENSEMBLE] if self.controls else [ENSEMBLE]

    # Files ---------------------------------------------------------------------------------------

    def weights(self, run: str, stage: str) -> str:
        if stage == PRETRAINED:
            decides = self._of_maximised if "@" in run else self._of_pretrained
        else:
            decides = partial(self._of_finetuned, again=stage == REFIT)
        return self._file(f"{run}/{stage}.safetensors", lambda: decides(run))

    def _of_pretrained(self, run: str) -> tuple[str, list[str]]:
        return self.settings.pretrain(run), [*self.data.index("train"), self.data.class_list]

    def _of_maximised(self, run: str) -> tuple[str, list[str]]:
        i, estimation = iteration_of(run), split_member(run)[1]
        labels = [*self.pseudo_labels(i), self.label_set(i, estimation), *self.calibration(i)]
        return self.settings.maximise(run), [*self.data.index("train"), *labels]

    def _of_finetuned(self, run: str, again: bool) -> tuple[str, list[str]]:
        pretrained = self.weights(run, PRETRAINED)
        return self.settings.finetune(run, again), [*self.data.index("segments"), pretrained]

    def scores(self, run: str, part: str) -> str:
        """validation.json or test.json of a model or an ensemble."""

        def decides() -> tuple[str, list[str]]:
            index = self.data.index("segments" if part == "validation" else "test")
            return self.settings.evaluation(part), [*index, *self._scorers(run, part)]

        return self._file(f"{run}/{part}.json", decides)

    def _scorers(self, run: str, part: str) -> list[str]:
        if run.rpartition("/")[2] == ENSEMBLE:
            return [self.ensemble(run), *self.scoring_weights(run, part)]
        return [self.weights(run, stage) for stage in STAGES]

    def ratings(self, run: str, part: str) -> str:
        """validation.ratings.csv or test.ratings.csv of a model or an ensemble."""
        return self.scores(run, part).removesuffix(".json") + ".ratings.csv"

    def selected(self, i: int | str, ending: str) -> str:
        """selected.json, .safetensors or .ratings.csv: F of an iteration, and who teaches next.

        One job makes the three, so they lie in one folder, whichever is asked for first.
        """

        def decides() -> tuple[str, list[str]]:
            runs = self.runs(int(i))
            inputs = [self.scores(run, "validation") for run in runs]
            inputs += self.candidates(i)
            return self.settings.selection(i), inputs + self.mean_teacher(i) + self.f_of_before(i)

        return self._file(f"em/iteration-{i}/selected.json", decides).removesuffix("json") + ending

    def candidates(self, i: int | str) -> list[str]:
        """The weights of an iteration among which F is chosen."""
        return self._judged(self.runs(int(i)))

    def mean_teacher(self, i: int | str) -> list[str]:
        """members.json of what teaches after an iteration, and what validation says of it.

        Empty where F teaches, as it does after iteration 0 in any case.
        """
        group = teaching(i)
        if group not in self.teachers():
            return []
        return [
            self.ensemble(group),
            self.scores(group, "validation"),
            self.ratings(group, "validation"),
        ]

    def f_of_before(self, i: int | str) -> list[str]:
        """What was selected in the iteration before, where that stays a candidate."""
        if not (self._keeps and int(i)):
            return []
        return [self.selected(int(i) - 1, end) for end in ("json", "safetensors", "ratings.csv")]

    def teacher(self, i: int | str) -> str:
        """selected.json of the iteration before: who estimates the labels of an iteration."""
        return self.selected(int(i) - 1, "json")

    def teacher_weights(self, i: int | str) -> list[str]:
        """The weights that it may name."""
        return self._judged(self._teaching(i))

    def _judged(self, runs: Iterable[str]) -> list[str]:
        """The weights by which validation selects, of each of these models."""
        stages = dict.fromkeys(runs, FINETUNED)
        stages |= {run: self.em["initial_stage"] for run in self.runs(0) if run in stages}
        return [self.weights(run, stage) for run, stage in stages.items()]

    @property
    def _keeps(self) -> bool:
        """Whether F of an iteration, and its teacher, have a part in the next one."""
        return self.em["select"] == "so_far"

    def _teaching(self, i: int | str) -> list[str]:
        """The models that may be the teacher of an iteration, or among it."""
        before = range(int(i)) if self._keeps else [int(i) - 1]
        return [run for j in before for run in self.runs(j)]

    def calibration(self, i: int | str) -> list[str]:
        """calibration.json of the teacher of an iteration, where it is calibrated."""
        if self.em["calibration"] == "none":
            return []
        name = f"em/iteration-{i}/calibration.json"
        ratings = self.selected(int(i) - 1, "ratings.csv")
        return [self._file(name, lambda: (self.settings.calibration(), [ratings]))]

    def pseudo_labels(self, i: int | str) -> list[str]:
        """The E-step's chunks of an iteration."""
        return [self._pseudo_labels(i, chunk) for chunk in self.data.chunks["train"]]

    def _pseudo_labels(self, i: int | str, chunk: str) -> str:
        return self._file(
            f"em/iteration-{i}/pseudo_labels/{chunk}.h5",
            lambda: (
                self.settings.estimation(),
                [self.teacher(i), *self.teacher_weights(i), self.data.index_chunk("train", chunk)],
            ),
        )

    def label_set(self, i: int | str, estimation: str) -> str:
        """The thresholds of an estimation, and what they leave of each class."""
        return self._file(
            f"em/iteration-{i}/label_sets/{estimation}.csv",
            lambda: (
                self.settings.threshold(estimation),
                [*self.pseudo_labels(i), *self.calibration(i)],
            ),
        )

    def ensemble(self, group: str) -> str:
        """members.json: the members of an ensemble and how much each counts."""

        def decides() -> tuple[str, list[str]]:
            judged = [self.scores(run, "validation") for run in self.weighed(group)]
            return self.weighing(group), judged + self.joined_before(group)

        return self._file(f"{group}/members.json", decides)

    def weighing(self, group: str) -> str:
        """The settings by which its members are weighed and joined."""
        settings = self.settings.ensemble if group in FINAL else self.settings.teacher
        pairs = zip(self.validated_weights(group), self.ensemble_weights(group), strict=True)
        return settings(dict(pairs))

    def joined_before(self, group: str) -> list[str]:
        """selected.json of the iteration whose teacher joins, where one does."""
        i = self._teacher_of(group)
        return [] if i is None else [self.selected(i, "json")]

    def ensemble_weights(self, group: str) -> list[str]:
        """The weights that it may name."""
        if self.config["ensemble"]["refit"] and group in FINAL:
            return [self.weights(run, REFIT) for run in self.may_join(group)]
        return self.validated_weights(group)

    def validated_weights(self, group: str) -> list[str]:
        """What validation judged in their place."""
        own = [self.weights(run, FINETUNED) for run in self.weighed(group)]
        return own + self._judged(self.taken_over(group))

    def scoring_weights(self, group: str, part: str) -> list[str]:
        """The weights that an ensemble may score a part with."""
        of_validation = part == "validation"
        return self.validated_weights(group) if of_validation else self.ensemble_weights(group)

    def predictions(self) -> list[str]:
        """The test set's chunks."""
        return [f"{self.folder}/predictions/{chunk}.h5" for chunk in self.data.chunks["test"]]

    def submission(self) -> list[str]:
        """submission.csv, where it is asked for."""
        asked = self.config["evaluation"]["submission"]
        return [f"{self.folder}/submission.csv"] if asked else []

    def table_inputs(self) -> list[str]:
        """The scores of every model and ensemble that has a row, and who was selected."""
        runs = self.scored_runs()
        files = [self.scores(run, part) for part in ("validation", "test") for run in runs]
        return files + self.selections()

    def scored_runs(self) -> list[str]:
        """Every model and ensemble that is scored."""
        return [*self.all_runs(), *self.teachers(), *self.groups()]

    def selections(self) -> list[str]:
        """selected.json of each iteration, in order."""
        return [self.selected(i, "json") for i in range(self.last + 1)]

    def test_ratings(self) -> list[str]:
        """test.ratings.csv of every model and ensemble."""
        return [self.ratings(run, "test") for run in self.scored_runs()]

    def estimations(self, i: int | str) -> list[str]:
        """The estimations that the members of an iteration learn from."""
        return list(dict.fromkeys(split_member(member)[1] for member in self.members[int(i)]))

    def label_sets_of(self, i: int | str) -> list[str]:
        """The label sets of an iteration's E-step."""
        return [self.label_set(i, estimation) for estimation in self.estimations(i)]

    def label_sets(self) -> list[str]:
        """The label sets of all E-steps."""
        return [file for i in range(1, self.last + 1) for file in self.label_sets_of(i)]

    def kept(self) -> list[str]:
        """Weights, pseudo-labels, predictions: asked for, so that what is deleted is made again."""
        files = [f"{self.folder}/ensemble.json", *self.predictions()]
        files += self.all_weights()
        for i in range(self.last + 1):
            files += [self.selected(i, "safetensors"), *(self.pseudo_labels(i) if i else [])]
        return files

    def all_weights(self) -> list[str]:
        """Those of every model, and of what joins an ensemble in its place."""
        files = [self.weights(run, stage) for run in self.all_runs() for stage in STAGES]
        files += [file for group in self.groups() for file in self.ensemble_weights(group)]
        return list(dict.fromkeys(files))

    def new_records(self) -> list[str]:
        """The files of new videos; empty where nothing names them."""
        return files_of(self.new_record_patterns())

    def new_record_patterns(self) -> list[str]:
        """As they are configured, since a command has no room for thousands of names."""
        patterns = self.config.get("localise", {}).get("records", [])
        return list(map(as_argument, [patterns] if isinstance(patterns, str) else patterns))

    # Code that jobs load by name -----------------------------------------------------------------

    def model_code(self, *runs: str) -> list[str]:
        return sorted({f"models/{self.settings.model(run)['architecture']}.py" for run in runs})

    def pooling_code(self, run: str) -> str:
        return f"poolings/{self.settings.video_loss(run)}.py"

    def ensemble_code(self, group: str) -> list[str]:
        return self.model_code(*self.may_join(group))

    def teacher_code(self, i: int | str) -> list[str]:
        """That of all models that may teach an iteration."""
        return self.model_code(*self._teaching(i))

    def threshold_code(self) -> str:
        return f"thresholds/{self.em['threshold']['rule']}.py"


def teaching(i: int | str) -> str:
    """The folder of what teaches after an iteration."""
    return f"em/iteration-{i}/{ENSEMBLE}"


def iteration_of(run: str) -> int:
    """em/iteration-2/<member> -> 2."""
    return int(run.split("/")[1].removeprefix("iteration-"))
