# Algorithm 1, lines 1-3: initialise F, pretrain it on video labels, fine-tune it on ratings.
# The controls are trained in the same way. Line 9 fine-tunes with the same rule.


rule pretrain:  # line 2, eqs. 15 and 16
    input:
        index=lambda wildcards: of(wildcards).data.index("train"),
        classes=lambda wildcards: of(wildcards).data.class_list,
        # What stops before a GPU hour is spent: it is waited for, and nothing is made again by it.
        splits=ancient(lambda wildcards: of(wildcards).data.split_check),
        preflight=ancient("results/{experiment}/preflight.csv"),
    output:
        weights="results/{experiment}/{without_em}/pretrained.safetensors",
        how="results/{experiment}/{without_em}/pretrained.json",
    log:
        "results/{experiment}/{without_em}/pretrain.log",
    benchmark:
        "results/{experiment}/{without_em}/pretrain.benchmark.tsv"
    conda:
        "../envs/torch.yaml"
    threads: training_threads
    resources:
        gpu=training_gpus,
        nodes=1,  # torchrun's processes share one
        mem_mb=memory("train"),
        runtime=minutes("train"),
    params:
        script=SCRIPTS / "pretrain.py",
        cfg=lambda wildcards: of(wildcards).settings.pretrain(wildcards.without_em),
        code=lambda wildcards: code(
            "pretrain.py",
            *of(wildcards).model_code(wildcards.without_em),
            of(wildcards).pooling_code(wildcards.without_em),
        ),
        launcher=launcher,
        speed=training_speed,
    message:
        "Pretrain {wildcards.without_em} on video labels (Algorithm 1, line 2)"
    shell:
        "{params.launcher} {params.script:q} --config {params.cfg:q}"
        " {params.speed}"
        " --index {input.index:q} --classes {input.classes:q} --out {output.weights:q}"
        " 2>&1 | tee -i {log:q}"


rule finetune:  # lines 3 and 9, eq. 17
    input:
        index=lambda wildcards: of(wildcards).data.index("segments"),
        splits=ancient(lambda wildcards: of(wildcards).data.split_check),
        # Its own, where pretraining is another experiment's.
        preflight=ancient("results/{experiment}/preflight.csv"),
        weights=lambda wildcards: of(wildcards).weights(wildcards.run, "pretrained"),
    output:
        weights="results/{experiment}/{run}/finetuned.safetensors",
        how="results/{experiment}/{run}/finetuned.json",
    log:
        "results/{experiment}/{run}/finetune.log",
    benchmark:
        "results/{experiment}/{run}/finetune.benchmark.tsv"
    conda:
        "../envs/torch.yaml"
    threads: training_threads
    resources:
        gpu=training_gpus,
        nodes=1,  # torchrun's processes share one
        mem_mb=memory("train"),
        runtime=minutes("train"),
    params:
        script=SCRIPTS / "finetune.py",
        cfg=lambda wildcards: of(wildcards).settings.finetune(wildcards.run),
        code=lambda wildcards: code("finetune.py", *of(wildcards).model_code(wildcards.run)),
        launcher=launcher,
        speed=training_speed,
    message:
        "Fine-tune {wildcards.run} on human ratings (Algorithm 1, lines 3 and 9)"
    shell:
        "{params.launcher} {params.script:q} --config {params.cfg:q}"
        " {params.speed}"
        " --index {input.index:q} --weights {input.weights:q} --out {output.weights:q}"
        " 2>&1 | tee -i {log:q}"


use rule finetune as refit with:  # the same from the start, on all ratings, to join an ensemble
    output:
        weights="results/{experiment}/{run}/refit.safetensors",
        how="results/{experiment}/{run}/refit.json",
    log:
        "results/{experiment}/{run}/refit.log",
    benchmark:
        "results/{experiment}/{run}/refit.benchmark.tsv"
    params:
        cfg=lambda wildcards: of(wildcards).settings.finetune(wildcards.run, again=True),
    message:
        "Fine-tune {wildcards.run} on all ratings, for the ensemble"
