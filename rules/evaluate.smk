# What the models are worth: the test set, ensembles, and the table of them all.


rule test:  # both stages of a model on the test set, where it carries ratings
    input:
        index=index("test"),
        pretrained="results/{experiment}/{run}/pretrained.safetensors",
        finetuned="results/{experiment}/{run}/finetuned.safetensors",
    output:
        scores="results/{experiment}/{run}/test.json",
        how="results/{experiment}/{run}/test.how.json",
    log:
        "results/{experiment}/{run}/test.log",
    benchmark:
        "results/{experiment}/{run}/test.benchmark.tsv"
    conda:
        "../envs/torch.yaml"
    threads: COMPUTE["threads"]
    resources:
        gpu=min(1, COMPUTE["gpu"]),
        mem_mb=memory("score"),
        runtime=minutes("score"),
        workers=COMPUTE["loader_workers"],
        videos=COMPUTE["inference_videos"],
    params:
        script=SCRIPTS / "evaluate.py",
        cfg=evaluation_settings(),
        code=lambda wildcards: code("evaluate.py", model_file(wildcards.run)),
        launcher=launcher,
    message:
        "Test {wildcards.run}"
    shell:
        "{params.launcher} {params.script:q} --config {params.cfg:q}"
        " --threads {threads} --workers {resources.workers} --gpus {resources.gpu}"
        " --videos {resources.videos}"
        " --index {input.index:q} --scorer pretrained {input.pretrained:q}"
        " --scorer finetuned {input.finetuned:q} --out {output.scores:q} 2>&1 | tee {log:q}"


rule weigh:  # the members of the last iteration, or the controls, and how much each counts
    input:
        validation=of_ensemble("validation.json"),
    output:
        ensemble="results/{experiment}/{group}.json",
        how="results/{experiment}/{group}.how.json",
    log:
        "results/{experiment}/{group}.log",
    benchmark:
        "results/{experiment}/{group}.benchmark.tsv"
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=memory("data"),
        runtime=minutes("data"),
    params:
        script=SCRIPTS / "weigh_members.py",
        cfg=canonical(CONFIG["ensemble"]),
        code=code("weigh_members.py"),
    message:
        "Weigh the members of the {wildcards.group} by validation mAP"
    shell:
        "python {params.script:q} --config {params.cfg:q}"
        " --validation {input.validation:q} --out {output.ensemble:q} 2>&1 | tee {log:q}"


rule evaluate_ensemble:  # the weighted mean of the last iteration's members, or of the controls
    input:
        index=lambda wildcards: index("segments" if wildcards.part == "validation" else "test"),
        ensemble="results/{experiment}/{group}.json",
        weights=of_ensemble("finetuned.safetensors"),
    output:
        scores="results/{experiment}/{group}/{part}.json",
        how="results/{experiment}/{group}/{part}.how.json",
    log:
        "results/{experiment}/{group}/{part}.log",
    benchmark:
        "results/{experiment}/{group}/{part}.benchmark.tsv"
    wildcard_constraints:
        part="validation|test",
    conda:
        "../envs/torch.yaml"
    threads: COMPUTE["threads"]
    resources:
        gpu=min(1, COMPUTE["gpu"]),
        mem_mb=memory("score"),
        runtime=minutes("score"),
        workers=COMPUTE["loader_workers"],
        videos=COMPUTE["inference_videos"],
    params:
        script=SCRIPTS / "evaluate.py",
        cfg=lambda wildcards: (
            evaluation_settings(validation_fraction=DATA["validation_fraction"])
            if wildcards.part == "validation"
            else evaluation_settings()
        ),
        code=lambda wildcards: code("evaluate.py", *model_files(ensemble_runs(wildcards.group))),
        launcher=launcher,
    message:
        "Evaluate the {wildcards.group} on the {wildcards.part} set"
    shell:
        "{params.launcher} {params.script:q} --config {params.cfg:q}"
        " --threads {threads} --workers {resources.workers} --gpus {resources.gpu}"
        " --videos {resources.videos}"
        " --index {input.index:q} --scorer ensemble {input.ensemble:q} --out {output.scores:q}"
        " 2>&1 | tee {log:q}"


rule tabulate:  # mAP by iteration, model and estimation
    input:
        scored_runs("validation.json"),
        scored_runs("test.json"),
        [f"{RESULTS}/em/iteration-{i}/selected.json" for i in range(LAST + 1)],
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
        cfg=canonical({"members": MEMBERS, "controls": CONTROLS}),
        code=code("tabulate_results.py"),
    message:
        "Table of mAP by iteration, model and estimation"
    shell:
        "python {params.script:q} --config {params.cfg:q}"
        " --experiment results/{wildcards.experiment} --results {input:q} --out {output.table:q}"
        " 2>&1 | tee {log:q}"
