"""What the stamp beside a file says counts beside what Snakemake has recorded of it.

Snakemake keeps in .snakemake what each file was to be made with. It trusts a file of which it has
no record: a setting that changed after results were copied without that folder would go unnoticed.
It records a job that failed as one that ended, removes its files, and misses them only where
something asks for them: the change that the job was for would be forgotten. And on a cluster a job
reads the configuration itself, which may have been edited since.
"""

import json
from functools import wraps
from pathlib import Path
from typing import Any

from snakemake.exceptions import WorkflowError
from snakemake.persistence import NO_PARAMS_CHANGE, ParamsChange, PersistenceBase

from segment_em.errors import InputError
from segment_em.files import read_json
from segment_em.provenance import beside, canonical


def recall_from_stamps() -> None:
    """Let Snakemake compare jobs with the stamps beside their outputs too.

    It has no hook for this, so two methods of its record keeping are wrapped.
    """
    recorded, params_changed = PersistenceBase.has_metadata, PersistenceBase.params_changed

    @wraps(params_changed)
    def changed(self: PersistenceBase, job: Any, file: Any = None) -> Any:
        if file is not None:
            return params_changed(self, job, file)
        change = change_since(job)
        return change | params_changed(self, job) if recorded(self, job) else change

    PersistenceBase.has_metadata = lambda self, job: True
    PersistenceBase.params_changed = changed


def change_since(job: Any) -> ParamsChange:
    """What differs between the stamps beside a job's outputs and what the job would do now.

    A job of which an output is missing has changed too.
    """
    if not all(Path(file).exists() for file in job.output):
        return ParamsChange({"not made"}, set(), set(job.output))
    stamps = [path for path in map(beside, job.output) if path.is_file()]
    try:
        found = [read_json(path) for path in stamps]
    except InputError as error:
        raise WorkflowError(str(error)) from None
    change = NO_PARAMS_CHANGE
    if job.output and not found:
        change = ParamsChange({"no provenance"}, set(), set(job.output))
    for head in found:
        old, new = _compared(head["stamp"], job)
        if old != new:
            change |= ParamsChange({canonical(old)}, {canonical(new)}, set(job.output))
    return change


def _compared(stamp: dict[str, Any], job: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Settings, code and input files: of the stamp, and as the workflow would have them now.

    A stamp lists the code that the job loaded; the workflow, all that it might. An input that is
    ancient only says what has to be done before.
    """
    code = json.loads(job.params.code)
    old = {"config": stamp["config"], "code": stamp["code"], "inputs": sorted(stamp["inputs"])}
    new = {
        "config": json.loads(job.params.cfg),
        "code": {module: code.get(module) for module in stamp["code"]},
        "inputs": sorted(str(file) for file in job.input if not file.is_ancient),
    }
    return old, new
