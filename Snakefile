# Weakly supervised temporal localisation by EM, in the order of Algorithm 1.
from pathlib import Path


configfile: str(Path(workflow.basedir) / "config.yaml")


include: "rules/common.smk"
include: "rules/data.smk"
include: "rules/initialise.smk"
include: "rules/em.smk"
include: "rules/evaluate.smk"
include: "rules/localise.smk"
include: "rules/report.smk"
include: "rules/compare.smk"


rule all:
    default_target: True
    input:
        f"{RESULTS}/table.csv",
        f"{RESULTS}/submission.csv",
        f"{RESULTS}/localisations.csv",
        f"{RESULTS}/report.html",
        MAIN.kept(),
    message:
        f"Finished: {RESULTS}/table.csv and {RESULTS}/report.html"


onsuccess:
    told = Path(COMPARISON if COMPARED else RESULTS) / "table.log"
    if told.exists():  # not after a run until some other rule
        print(told.read_text(), end="")
