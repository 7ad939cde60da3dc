# Algorithm 1, lines 12-13: the ensemble localises the test set, and new videos.


rule predict:  # line 12, one job a chunk
    input:
        members=lambda wildcards: of(wildcards).ensemble("ensemble"),
        weights=lambda wildcards: of(wildcards).ensemble_weights("ensemble"),
        index=lambda wildcards: of(wildcards).data.index_chunk("test", wildcards.chunk),
        splits=ancient(lambda wildcards: of(wildcards).data.split_check),
    output:
        predictions="results/{experiment}/predictions/{chunk}.h5",
        how="results/{experiment}/predictions/{chunk}.json",
    log:
        "results/{experiment}/predictions/{chunk}.log",
    benchmark:
        "results/{experiment}/predictions/{chunk}.benchmark.tsv"
    conda:
        "../envs/torch.yaml"
    threads: scoring_threads
    resources:
        gpu=scoring_gpus,
        mem_mb=memory("score"),
        runtime=minutes("score"),
    params:
        script=SCRIPTS / "predict.py",
        cfg=lambda wildcards: of(wildcards).settings.scoring(),
        code=lambda wildcards: code("predict.py", *of(wildcards).ensemble_code("ensemble")),
        launcher=launcher,
        speed=scoring_speed,
    message:
        "Predict segments of test chunk {wildcards.chunk} with the ensemble (line 12)"
    shell:
        "{params.launcher} {params.script:q} --config {params.cfg:q}"
        " {params.speed}"
        " --ensemble {input.members:q} --weights {input.weights:q}"
        " --index {input.index:q} --out {output.predictions:q}"
        " 2>&1 | tee -i {log:q}"


rule submission:  # the best 100,000 segments of each class, as the challenge's server took them
    input:
        index=lambda wildcards: of(wildcards).data.index("test"),
        predictions=lambda wildcards: of(wildcards).predictions(),
    output:
        submission="results/{experiment}/submission.csv",
        how="results/{experiment}/submission.json",
    log:
        "results/{experiment}/submission.log",
    benchmark:
        "results/{experiment}/submission.benchmark.tsv"
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=memory("data"),
        runtime=minutes("data"),
    params:
        script=SCRIPTS / "submit.py",
        cfg=lambda wildcards: canonical(
            {"top_segments": of(wildcards).config["evaluation"]["top_segments"]}
        ),
        code=code("submit.py"),
    message:
        "Write the submission"
    shell:
        "python {params.script:q} --config {params.cfg:q}"
        " --index {input.index:q} --predictions {input.predictions:q} --out {output.submission:q}"
        " 2>&1 | tee -i {log:q}"


rule localisations:  # what occurs when
    input:
        index=lambda wildcards: of(wildcards).data.index("test"),
        predictions=lambda wildcards: of(wildcards).predictions(),
        vocabulary=lambda wildcards: of(wildcards).data.vocabulary,
    output:
        localisations="results/{experiment}/localisations.csv",
        how="results/{experiment}/localisations.json",
    log:
        "results/{experiment}/localisations.log",
    benchmark:
        "results/{experiment}/localisations.benchmark.tsv"
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=memory("data"),
        runtime=minutes("data"),
    params:
        script=SCRIPTS / "merge_segments.py",
        cfg=lambda wildcards: canonical(of(wildcards).config["localisation"]),
        code=code("merge_segments.py"),
    message:
        "Merge neighbouring segments: what occurs when"
    shell:
        "python {params.script:q} --config {params.cfg:q}"
        " --index {input.index:q} --predictions {input.predictions:q} --vocabulary {input.vocabulary:q}"
        " --out {output.localisations:q} 2>&1 | tee -i {log:q}"


rule describe_ensemble:  # all that localising new videos needs beside the weights
    input:
        members=lambda wildcards: of(wildcards).ensemble("ensemble"),
        weights=lambda wildcards: of(wildcards).ensemble_weights("ensemble"),
        splits=lambda wildcards: of(wildcards).data.split_check,
        vocabulary=lambda wildcards: of(wildcards).data.vocabulary,
    output:
        ensemble="results/{experiment}/ensemble.json",
        how="results/{experiment}/ensemble.how.json",
    log:
        "results/{experiment}/ensemble.log",
    benchmark:
        "results/{experiment}/ensemble.benchmark.tsv"
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=memory("data"),
        runtime=minutes("data"),
    params:
        script=SCRIPTS / "describe_ensemble.py",
        cfg=lambda wildcards: of(wildcards).settings.description(),
        code=code("describe_ensemble.py"),
    message:
        "Describe the ensemble for new videos: members, class names, threshold"
    shell:
        "python {params.script:q} --config {params.cfg:q}"
        " --members {input.members:q} --weights {input.weights:q}"
        " --splits {input.splits:q} --vocabulary {input.vocabulary:q}"
        " --out {output.ensemble:q}"
        " 2>&1 | tee -i {log:q}"


rule localise:  # line 13 for new videos: --config localise='{records: "new*.tfrecord"}'
    input:
        ensemble="results/{experiment}/ensemble.json",
        weights=lambda wildcards: of(wildcards).ensemble_weights("ensemble"),
        records=new_records,
    output:
        found="results/{experiment}/found.csv",
        how="results/{experiment}/found.json",
    log:
        "results/{experiment}/found.log",
    benchmark:
        "results/{experiment}/found.benchmark.tsv"
    conda:
        "../envs/torch.yaml"
    threads: scoring_threads
    resources:
        gpu=scoring_gpus,
        mem_mb=memory("score"),
        runtime=minutes("score"),
    params:
        script=SCRIPTS / "localise.py",
        cfg=canonical({}),  # ensemble.json has all settings
        code=lambda wildcards: code("localise.py", *of(wildcards).ensemble_code("ensemble")),
        launcher=launcher,
        speed=scoring_speed,
        records=lambda wildcards: of(wildcards).new_record_patterns(),
    message:
        "Localise in new videos (line 13)"
    shell:
        "{params.launcher} {params.script:q}"
        " {params.speed}"
        " --ensemble {input.ensemble:q} --weights {input.weights:q}"
        " --records {params.records:q}"
        " --out {output.found:q} --how {output.how:q}"
        " 2>&1 | tee -i {log:q}"
