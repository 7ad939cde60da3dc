# Weakly supervised temporal localisation by EM, in the order of Algorithm 1.
from pathlib import Path

from snakemake.utils import min_version

# Whose inner methods ancient_inputs.py, recall.py, rescheduling.py and run_lines.py in rules/ wrap.
min_version("9.27")


configfile: str(Path(workflow.basedir) / "config.yaml")


include: "rules/common.smk"
include: "rules/data.smk"
include: "rules/initialise.smk"
include: "rules/em.smk"
include: "rules/evaluate.smk"
include: "rules/localise.smk"
include: "rules/report.smk"
include: "rules/compare.smk"
include: "rules/ablation.smk"


rule all:
    default_target: True
    input:
        f"{RESULTS}/preflight.csv",
        f"{RESULTS}/table.csv",
        MAIN.submission(),
        f"{RESULTS}/localisations.csv",
        f"{RESULTS}/report.html",
        MAIN.kept(),
        reporting.figure_files(MAIN),
    message:
        f"Finished: {RESULTS}/table.csv and {RESULTS}/report.html"


onsuccess:
    print(closing_words(), end="")
