# What the models are worth: the test set, ensembles, and the table of them all.


use rule validate as test with:  # both stages of a model on the test set, where it carries ratings
    input:
        index=lambda wildcards: of(wildcards).data.index("test"),
        splits=ancient(lambda wildcards: of(wildcards).data.split_check),
        pretrained=lambda wildcards: of(wildcards).weights(wildcards.run, "pretrained"),
        finetuned=lambda wildcards: of(wildcards).weights(wildcards.run, "finetuned"),
    output:
        scores="results/{experiment}/{run}/test.json",
        ratings="results/{experiment}/{run}/test.ratings.csv",
        how=[
            "results/{experiment}/{run}/test.how.json",
            "results/{experiment}/{run}/test.ratings.json",
        ],
    log:
        "results/{experiment}/{run}/test.log",
    benchmark:
        "results/{experiment}/{run}/test.benchmark.tsv"
    params:
        cfg=lambda wildcards: of(wildcards).settings.evaluation("test"),
    message:
        "Test {wildcards.run}"


rule weigh:  # the members of an ensemble, or of a teacher, and how much each counts
    input:
        validation=lambda wildcards: [
            of(wildcards).scores(run, "validation")
            for run in of(wildcards).averaged(wildcards.group)
        ],
        earlier=lambda wildcards: [
            of(wildcards).scores(run, "validation")
            for run in of(wildcards).standing_in(wildcards.group)
        ],
        ratings=lambda wildcards: [
            of(wildcards).ratings(run, "validation")
            for run in of(wildcards).weighed(wildcards.group)
        ],
        before=lambda wildcards: of(wildcards).joined_before(wildcards.group),
    output:
        members="results/{experiment}/{group}/members.json",
        how="results/{experiment}/{group}/members.how.json",
    log:
        "results/{experiment}/{group}/members.log",
    benchmark:
        "results/{experiment}/{group}/members.benchmark.tsv"
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=memory("data"),
        runtime=minutes("data"),
    params:
        script=SCRIPTS / "weigh_members.py",
        # The weights that join are named alone, since this need not wait for them.
        cfg=lambda wildcards: of(wildcards).weighing(wildcards.group),
        code=code("weigh_members.py"),
    message:
        "Weigh the members of {wildcards.group}"
    shell:
        "python {params.script:q} --config {params.cfg:q}"
        " --validation {input.validation:q} --earlier {input.earlier:q}"
        " --before {input.before:q} --out {output.members:q} 2>&1 | tee -i {log:q}"


rule evaluate_ensemble:  # the weighted mean of models
    input:
        index=lambda wildcards: of(wildcards).data.index(
            "segments" if wildcards.part == "validation" else "test"
        ),
        splits=ancient(lambda wildcards: of(wildcards).data.split_check),
        members=lambda wildcards: of(wildcards).ensemble(wildcards.group),
        weights=lambda wildcards: of(wildcards).scoring_weights(wildcards.group, wildcards.part),
    output:
        scores="results/{experiment}/{group}/{part}.json",
        ratings="results/{experiment}/{group}/{part}.ratings.csv",
        how=[
            "results/{experiment}/{group}/{part}.how.json",
            "results/{experiment}/{group}/{part}.ratings.json",
        ],
    log:
        "results/{experiment}/{group}/{part}.log",
    benchmark:
        "results/{experiment}/{group}/{part}.benchmark.tsv"
    wildcard_constraints:
        part="validation|test",
    conda:
        "../envs/torch.yaml"
    threads: scoring_threads
    resources:
        gpu=scoring_gpus,
        mem_mb=memory("score"),
        runtime=minutes("score"),
    params:
        script=SCRIPTS / "evaluate.py",
        cfg=lambda wildcards: of(wildcards).settings.evaluation(wildcards.part),
        code=lambda wildcards: code(
            "evaluate.py",
            *of(wildcards).ensemble_code(wildcards.group),
        ),
        launcher=launcher,
        speed=scoring_speed,
    message:
        "Evaluate the {wildcards.group} on the {wildcards.part} set"
    shell:
        "{params.launcher} {params.script:q} --config {params.cfg:q}"
        " {params.speed}"
        " --index {input.index:q} --scorer ensemble {input.members:q}"
        " --weights {input.weights:q} --out {output.scores:q}"
        " --ratings {output.ratings:q} 2>&1 | tee -i {log:q}"


rule tabulate:  # mAP by iteration, model and estimation
    input:
        lambda wildcards: of(wildcards).table_inputs(),
    output:
        table="results/{experiment}/table.csv",
        how="results/{experiment}/table.json",
    log:
        "results/{experiment}/table.log",
    benchmark:
        "results/{experiment}/table.benchmark.tsv"
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=memory("data"),
        runtime=minutes("data"),
    params:
        script=SCRIPTS / "tabulate_results.py",
        cfg=lambda wildcards: canonical(
            {"members": of(wildcards).members, "controls": of(wildcards).controls}
        ),
        code=code("tabulate_results.py"),
    message:
        "Table of mAP by iteration, model and estimation"
    shell:
        "python {params.script:q} --config {params.cfg:q}"
        " --results {input:q} --out {output.table:q}"
        " 2>&1 | tee -i {log:q}"
