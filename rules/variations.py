"""All experiments of a run: the configured one and, with `ablation`, its variations.

What two of them would make alike, one of them makes for both.
"""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml
from configuration import ConfigError, checked
from datasets import Dataset
from experiments import Experiment
from mistakes import no_such
from snakemake.utils import update_config

from segment_em.terms import SPLITS

ABLATION = "ablation"
ROOT = Path(__file__).parents[1]


def experiments_of(config: Mapping[str, Any]) -> dict[str, Experiment]:
    """{name: experiment}: the configured one first, then those of its ablation.

    Raises ConfigError, which names the experiment where it is one of an ablation.
    """
    made: dict[tuple[str, ...], str] = {}
    datasets: dict[str, Dataset] = {}
    found: dict[str, Experiment] = {}
    for variation, settings in [({}, config), *_variations(config)]:
        try:
            experiment = _experiment(checked(settings), datasets, made, variation)
        except ConfigError as error:
            where = f"{settings['experiment']}: " if variation else ""
            raise ConfigError(f"{where}{error}") from None
        if experiment.name in found:
            raise ConfigError(
                f"config: ablation: two experiments are named {experiment.name!r}, after data, "
                "variation and seed with dots between; give one of them another name"
            )
        found[experiment.name] = experiment
        # Here, since whose file is shared must not depend on which rule asks first; the configured
        # experiment comes last, so that an ablation does not lean on a run that nobody asked for.
        if variation:
            experiment.table_inputs()
    return found


def _experiment(
    config: Mapping[str, Any],
    datasets: dict[str, Dataset],
    made: dict[tuple[str, ...], str],
    variation: Mapping[str, Any],
) -> Experiment:
    data = Dataset(config)
    known = datasets.setdefault(data.name, data)
    if known.identity() != data.identity():
        raise ConfigError(
            f"config: data.name: '{data.name}' names other data already; give each its own name"
        )
    return Experiment(config, known, made, variation)


def _variations(config: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """({data, variation, seed}, the whole configuration) of each experiment of an ablation."""
    if not config.get(ABLATION):
        return
    ablation = checked(config)[ABLATION]  # before anything in it is relied on
    first = next(iter(ablation["variations"]))
    for data, records in _chosen(ablation, "data"):
        for variation, changes in _chosen(ablation, "variations", first):
            for seed in ablation["seeds"]:
                settings = deepcopy({k: v for k, v in config.items() if k != ABLATION})
                update_config(settings, _overlay(records, "ablation.data"))
                update_config(settings, _overlay(changes, "ablation.variations"))
                place = {"data": data, "variation": variation, "seed": int(seed)}
                settings["experiment"] = ".".join([config["experiment"], *map(str, place.values())])
                _seed(settings, int(seed))
                yield place, settings


def _chosen(
    ablation: Mapping[str, Any], kind: str, *always: str
) -> list[tuple[str, str | Mapping[str, Any] | None]]:
    """(name, overlay) of each data set or variation to be run: all, or those of `only`.

    always: those that run whatever `only` says.
    """
    there = ablation[kind]
    chosen = ablation.get("only", {}).get(kind, there)
    for name in chosen:
        if name not in there:
            raise ConfigError(f"config: {no_such(f'ablation.only.{kind}: {name!r}', name, there)}")
    return [(name, overlay) for name, overlay in there.items() if name in {*chosen, *always}]


def _overlay(given: str | Mapping[str, Any] | None, key: str) -> dict[str, Any]:
    """The settings that are laid over the others: written out, or those of a file."""
    if not isinstance(given, str):
        return deepcopy(dict(given or {}))
    # As the configs of this repository name each other, wherever it is run from.
    path = next((p for p in (Path(given), ROOT / given) if p.is_file()), None)
    if path is None:
        raise ConfigError(f"config: {key}: no file {given!r}, here or in {ROOT}")
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        said = " ".join(str(error).split())
        raise ConfigError(f"config: {key}: {given} is not YAML: {said}") from None
    if not isinstance(settings, dict):
        raise ConfigError(f"config: {key}: {given} holds no keys with values: {settings!r}")
    return settings


def _seed(settings: dict[str, Any], seed: int) -> None:
    """Set the seed, which draws the simulated records too."""
    settings["seed"], data = seed, settings["data"]
    # What is no mapping is refused when the experiment is checked.
    if isinstance(data, dict) and not any(split in data for split in SPLITS):
        if isinstance(data.get("simulation"), dict):
            data["simulation"]["seed"] = seed
        if isinstance(data.get("name"), str):
            data["name"] = f"{data['name']}-{seed}"
