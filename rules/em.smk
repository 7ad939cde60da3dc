# Algorithm 1, lines 4-11: estimate segment labels, train new models on them, keep the best.


rule estimate:  # E-step, lines 5-6: one forward pass serves both estimations
    input:
        teacher=lambda wildcards: of(wildcards).teacher(wildcards.i),
        weights=lambda wildcards: of(wildcards).teacher_weights(wildcards.i),
        index=lambda wildcards: of(wildcards).data.index_chunk("train", wildcards.chunk),
    output:
        labels="results/{experiment}/em/iteration-{i}/pseudo_labels/{chunk}.h5",
        how="results/{experiment}/em/iteration-{i}/pseudo_labels/{chunk}.json",
    log:
        "results/{experiment}/em/iteration-{i}/pseudo_labels/{chunk}.log",
    benchmark:
        "results/{experiment}/em/iteration-{i}/pseudo_labels/{chunk}.benchmark.tsv"
    conda:
        "../envs/torch.yaml"
    threads: scoring_threads
    resources:
        gpu=scoring_gpus,
        mem_mb=memory("score"),
        runtime=minutes("score"),
    params:
        script=SCRIPTS / "estimate.py",
        cfg=lambda wildcards: of(wildcards).settings.estimation(),
        code=lambda wildcards: code("estimate.py", *of(wildcards).teacher_code(wildcards.i)),
        launcher=launcher,
        speed=scoring_speed,
    message:
        "E-step {wildcards.i}: score the segments of chunk {wildcards.chunk} (lines 5-6)"
    shell:
        "{params.launcher} {params.script:q} --config {params.cfg:q}"
        " {params.speed}"
        " --teacher {input.teacher:q} --weights {input.weights:q} --index {input.index:q} --out {output.labels:q}"
        " 2>&1 | tee -i {log:q}"


rule calibrate:  # E-step: what the teacher's scores mean, by the ratings held out
    input:
        lambda wildcards: of(wildcards).selected(int(wildcards.i) - 1, "ratings.csv"),
    output:
        calibration="results/{experiment}/em/iteration-{i}/calibration.json",
        how="results/{experiment}/em/iteration-{i}/calibration.how.json",
    log:
        "results/{experiment}/em/iteration-{i}/calibration.log",
    benchmark:
        "results/{experiment}/em/iteration-{i}/calibration.benchmark.tsv"
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=memory("data"),
        runtime=minutes("data"),
    params:
        script=SCRIPTS / "calibrate.py",
        cfg=lambda wildcards: of(wildcards).settings.calibration(),
        code=code("calibrate.py"),
    message:
        "E-step {wildcards.i}: calibrate the teacher on the validation ratings"
    shell:
        "python {params.script:q} --config {params.cfg:q}"
        " --ratings {input:q} --out {output.calibration:q} 2>&1 | tee -i {log:q}"


rule threshold:  # E-step, eqs. 18-19: the threshold of each class, and what passes it
    input:
        pseudo_labels=lambda wildcards: of(wildcards).pseudo_labels(wildcards.i),
        calibration=lambda wildcards: of(wildcards).calibration(wildcards.i),
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
        mem_mb=memory("data", counted="pseudo_labels"),
        runtime=minutes("data"),
    params:
        script=SCRIPTS / "label_set.py",
        cfg=lambda wildcards: of(wildcards).settings.threshold(wildcards.estimation),
        code=lambda wildcards: code(
            "label_set.py",
            f"estimators/{wildcards.estimation}.py",
            of(wildcards).threshold_code(),
        ),
    message:
        "E-step {wildcards.i}: threshold the scores, {wildcards.estimation} (eqs. 18-19)"
    shell:
        "python {params.script:q} --config {params.cfg:q}"
        " --pseudo-labels {input.pseudo_labels:q} --calibration {input.calibration:q}"
        " --out {output.table:q} 2>&1 | tee -i {log:q}"


rule maximise:  # M-step, lines 7-8: from scratch on the estimated labels
    input:
        index=lambda wildcards: of(wildcards).data.index("train"),
        pseudo_labels=lambda wildcards: of(wildcards).pseudo_labels(wildcards.i),
        label_set=lambda wildcards: of(wildcards).label_set(wildcards.i, wildcards.estimation),
        calibration=lambda wildcards: of(wildcards).calibration(wildcards.i),
        preflight=ancient("results/{experiment}/preflight.csv"),
    output:
        weights="results/{experiment}/em/iteration-{i}/{model}@{estimation}/pretrained.safetensors",
        how="results/{experiment}/em/iteration-{i}/{model}@{estimation}/pretrained.json",
    log:
        "results/{experiment}/em/iteration-{i}/{model}@{estimation}/maximise.log",
    benchmark:
        "results/{experiment}/em/iteration-{i}/{model}@{estimation}/maximise.benchmark.tsv"
    conda:
        "../envs/torch.yaml"
    threads: training_threads
    resources:
        gpu=training_gpus,
        nodes=1,  # torchrun's processes share one
        mem_mb=memory("train", counted="pseudo_labels", held=labels_held),
        runtime=minutes("train"),
    params:
        script=SCRIPTS / "maximise.py",
        cfg=lambda wildcards: of(wildcards).settings.maximise(
            "em/iteration-{i}/{model}@{estimation}".format(**wildcards)
        ),
        code=lambda wildcards: code(
            "maximise.py",
            *of(wildcards).model_code(wildcards.model),
            f"estimators/{wildcards.estimation}.py",
        ),
        launcher=launcher,
        speed=training_speed,
    message:
        "M-step {wildcards.i}: train {wildcards.model} on {wildcards.estimation} (lines 7-8)"
    shell:
        "{params.launcher} {params.script:q} --config {params.cfg:q}"
        " {params.speed}"
        " --index {input.index:q} --pseudo-labels {input.pseudo_labels:q}"
        " --label-set {input.label_set:q} --calibration {input.calibration:q}"
        " --out {output.weights:q} 2>&1 | tee -i {log:q}"


rule validate:  # line 10: both stages of a model on the ratings held out
    input:
        index=lambda wildcards: of(wildcards).data.index("segments"),
        splits=ancient(lambda wildcards: of(wildcards).data.split_check),
        pretrained=lambda wildcards: of(wildcards).weights(wildcards.run, "pretrained"),
        finetuned=lambda wildcards: of(wildcards).weights(wildcards.run, "finetuned"),
    output:
        scores="results/{experiment}/{run}/validation.json",
        ratings="results/{experiment}/{run}/validation.ratings.csv",
        how=[
            "results/{experiment}/{run}/validation.how.json",
            "results/{experiment}/{run}/validation.ratings.json",
        ],
    log:
        "results/{experiment}/{run}/validation.log",
    benchmark:
        "results/{experiment}/{run}/validation.benchmark.tsv"
    conda:
        "../envs/torch.yaml"
    threads: scoring_threads
    resources:
        gpu=scoring_gpus,
        mem_mb=memory("score"),
        runtime=minutes("score"),
    params:
        script=SCRIPTS / "evaluate.py",
        cfg=lambda wildcards: of(wildcards).settings.evaluation("validation"),
        code=lambda wildcards: code("evaluate.py", *of(wildcards).model_code(wildcards.run)),
        launcher=launcher,
        speed=scoring_speed,
    message:
        "Validate {wildcards.run} (Algorithm 1, line 10)"
    shell:
        "{params.launcher} {params.script:q} --config {params.cfg:q}"
        " {params.speed}"
        " --index {input.index:q} --scorer pretrained {input.pretrained:q}"
        " --scorer finetuned {input.finetuned:q} --out {output.scores:q}"
        " --ratings {output.ratings:q} 2>&1 | tee -i {log:q}"


rule select:  # line 10: F <- the best on the validation ratings
    input:
        validation=lambda wildcards: [
            of(wildcards).scores(run, "validation") for run in of(wildcards).runs(int(wildcards.i))
        ],
        weights=lambda wildcards: of(wildcards).candidates(wildcards.i),
        ratings=lambda wildcards: [
            of(wildcards).ratings(run, "validation")
            for run in of(wildcards).runs(int(wildcards.i))
        ],
        mean_teacher=lambda wildcards: of(wildcards).mean_teacher(wildcards.i),
        f_of_before=lambda wildcards: of(wildcards).f_of_before(wildcards.i),
    output:
        report="results/{experiment}/em/iteration-{i}/selected.json",
        weights="results/{experiment}/em/iteration-{i}/selected.safetensors",
        ratings="results/{experiment}/em/iteration-{i}/selected.ratings.csv",
        how=[
            "results/{experiment}/em/iteration-{i}/selected.how.json",
            "results/{experiment}/em/iteration-{i}/selected.ratings.json",
        ],
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
        cfg=lambda wildcards: of(wildcards).settings.selection(wildcards.i),
        code=code("select_model.py"),
    message:
        "Select F of iteration {wildcards.i} by validation (Algorithm 1, line 10)"
    shell:
        "python {params.script:q} --config {params.cfg:q}"
        " --validation {input.validation:q} --weights {input.weights:q}"
        " --ensemble {input.mean_teacher:q} --previous {input.f_of_before:q}"
        " --out {output.report:q} 2>&1 | tee -i {log:q}"
