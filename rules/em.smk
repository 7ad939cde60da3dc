# Algorithm 1, lines 4-11: estimate segment labels with F, train new models on them, keep the best.


rule estimate:  # E-step, lines 5-6: one forward pass serves both estimations
    input:
        teacher=selected("selected.safetensors", back=1),
        index=f"results/index/{DATA['name']}/train/{{chunk}}.h5",
    output:
        labels="results/{experiment}/em/iteration-{i}/pseudo_labels/{chunk}.h5",
        how="results/{experiment}/em/iteration-{i}/pseudo_labels/{chunk}.json",
    log:
        "results/{experiment}/em/iteration-{i}/pseudo_labels/{chunk}.log",
    benchmark:
        "results/{experiment}/em/iteration-{i}/pseudo_labels/{chunk}.benchmark.tsv"
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
        script=SCRIPTS / "estimate.py",
        cfg=scoring_settings(**EM["keep"]),
        code=lambda wildcards: code("estimate.py", *teacher_files(wildcards)),
        launcher=launcher,
    message:
        "E-step {wildcards.i}: F predicts segment labels of chunk {wildcards.chunk} (lines 5-6)"
    shell:
        "{params.launcher} {params.script:q} --config {params.cfg:q}"
        " --threads {threads} --workers {resources.workers} --gpus {resources.gpu}"
        " --videos {resources.videos}"
        " --teacher {input.teacher:q} --index {input.index:q} --out {output.labels:q}"
        " 2>&1 | tee {log:q}"


rule threshold:  # E-step, eqs. 18-19: the threshold of each class, and what passes it
    input:
        pseudo_labels,
    output:
        table="results/{experiment}/em/iteration-{i}/label_sets/{estimation}.csv",
        how="results/{experiment}/em/iteration-{i}/label_sets/{estimation}.json",
    log:
        "results/{experiment}/em/iteration-{i}/label_sets/{estimation}.log",
    benchmark:
        "results/{experiment}/em/iteration-{i}/label_sets/{estimation}.benchmark.tsv"
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=memory("data"),
        runtime=minutes("data"),
    params:
        script=SCRIPTS / "label_set.py",
        cfg=lambda wildcards: canonical(
            {"threshold": threshold_of(CONFIG), "estimation": wildcards.estimation}
        ),
        code=lambda wildcards: code(
            "label_set.py",
            f"estimators/{wildcards.estimation}.py",
            f"thresholds/{EM['threshold']['rule']}.py",
        ),
    message:
        "E-step {wildcards.i}: threshold the scores, {wildcards.estimation} (eqs. 18-19)"
    shell:
        "python {params.script:q} --config {params.cfg:q}"
        " --pseudo-labels {input:q} --out {output.table:q} 2>&1 | tee {log:q}"


rule maximise:  # M-step, lines 7-8: from scratch on the estimated labels
    input:
        index=index("train"),
        pseudo_labels=pseudo_labels,
        label_set="results/{experiment}/em/iteration-{i}/label_sets/{estimation}.csv",
    output:
        weights="results/{experiment}/em/iteration-{i}/{model}@{estimation}/pretrained.safetensors",
        how="results/{experiment}/em/iteration-{i}/{model}@{estimation}/pretrained.json",
    log:
        "results/{experiment}/em/iteration-{i}/{model}@{estimation}/maximise.log",
    benchmark:
        "results/{experiment}/em/iteration-{i}/{model}@{estimation}/maximise.benchmark.tsv"
    conda:
        "../envs/torch.yaml"
    threads: COMPUTE["threads"]
    resources:
        gpu=COMPUTE["gpu"],
        mem_mb=memory("train"),
        runtime=minutes("train"),
    params:
        script=SCRIPTS / "maximise.py",
        cfg=lambda wildcards: training_settings(
            "em/iteration-{i}/{model}@{estimation}".format(**wildcards),
            "m_step",
            estimation=wildcards.estimation,
        ),
        code=lambda wildcards: code(
            "maximise.py", model_file(wildcards.model), f"estimators/{wildcards.estimation}.py"
        ),
        launcher=launcher,
        speed=training_speed,
    message:
        "M-step {wildcards.i}: train {wildcards.model} on {wildcards.estimation} (lines 7-8)"
    shell:
        "{params.launcher} {params.script:q} --config {params.cfg:q}"
        " {params.speed}"
        " --index {input.index:q} --pseudo-labels {input.pseudo_labels:q}"
        " --label-set {input.label_set:q} --out {output.weights:q} 2>&1 | tee {log:q}"


rule validate:  # line 10: both stages of a model on the ratings held out
    input:
        index=index("segments"),
        pretrained="results/{experiment}/{run}/pretrained.safetensors",
        finetuned="results/{experiment}/{run}/finetuned.safetensors",
    output:
        scores="results/{experiment}/{run}/validation.json",
        how="results/{experiment}/{run}/validation.how.json",
    log:
        "results/{experiment}/{run}/validation.log",
    benchmark:
        "results/{experiment}/{run}/validation.benchmark.tsv"
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
        cfg=evaluation_settings(validation_fraction=DATA["validation_fraction"]),
        code=lambda wildcards: code("evaluate.py", model_file(wildcards.run)),
        launcher=launcher,
    message:
        "Validate {wildcards.run} (Algorithm 1, line 10)"
    shell:
        "{params.launcher} {params.script:q} --config {params.cfg:q}"
        " --threads {threads} --workers {resources.workers} --gpus {resources.gpu}"
        " --videos {resources.videos}"
        " --index {input.index:q} --scorer pretrained {input.pretrained:q}"
        " --scorer finetuned {input.finetuned:q} --out {output.scores:q} 2>&1 | tee {log:q}"


rule select:  # line 10: F <- the best on the validation ratings
    input:
        validation=of_members("validation.json"),
        weights=of_members("finetuned.safetensors"),
        previous=previous_selection,
        previous_weights=selected("selected.safetensors", back=1),
    output:
        report="results/{experiment}/em/iteration-{i}/selected.json",
        weights="results/{experiment}/em/iteration-{i}/selected.safetensors",
        how="results/{experiment}/em/iteration-{i}/selected.how.json",
    log:
        "results/{experiment}/em/iteration-{i}/selected.log",
    benchmark:
        "results/{experiment}/em/iteration-{i}/selected.benchmark.tsv"
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=memory("data"),
        runtime=minutes("data"),
    params:
        script=SCRIPTS / "select_model.py",
        cfg=lambda wildcards: canonical(
            {"stages": ["finetuned"] if int(wildcards.i) else [EM["initial_stage"]]}
        ),
        code=code("select_model.py"),
        previous=lambda wildcards, input: (f"--previous {input.previous}" if input.previous else ""),
    message:
        "Select F of iteration {wildcards.i} by validation mAP (Algorithm 1, line 10)"
    shell:
        "python {params.script:q} --config {params.cfg:q}"
        " --validation {input.validation:q} --weights {input.weights:q} {input.previous_weights:q}"
        " {params.previous} --out {output.report:q} 2>&1 | tee {log:q}"
