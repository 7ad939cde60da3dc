# The data: simulated records where none are given, and the index of what is in the records.


rule simulate_vocabulary:
    output:
        vocabulary="results/data/{name}/vocabulary.csv",
        segment_classes="results/data/{name}/segment_label_ids.csv",
        how=["results/data/{name}/vocabulary.json", "results/data/{name}/segment_label_ids.json"],
    log:
        "results/data/{name}/vocabulary.log",
    benchmark:
        "results/data/{name}/vocabulary.benchmark.tsv"
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=memory("data"),
        runtime=minutes("data"),
    params:
        script=SCRIPTS / "simulate_vocabulary.py",
        cfg=lambda wildcards: dataset(wildcards).simulation_settings(),
        code=code("simulate_vocabulary.py"),
    message:
        "Simulate YouTube-8M: the vocabulary"
    shell:
        "python {params.script:q} --config {params.cfg:q}"
        " --vocabulary {output.vocabulary:q} --segment-classes {output.segment_classes:q}"
        " 2>&1 | tee -i {log:q}"


# The splits differ in their number of files, and a rule's outputs have to be listed.
for data, split in simulated_splits():

    rule:
        name:
            f"simulate_{split}" if data is MAIN.data else f"simulate_{split}_{data.name}"
        output:
            records=data.record_files(split),
            truth=f"{data.folder}/truth/{split}.npz",
            how=[beside(file) for file in data.record_files(split)],
        log:
            f"{data.folder}/{split}.log",
        benchmark:
            f"{data.folder}/{split}.benchmark.tsv"
        conda:
            "../envs/data.yaml"
        resources:
            mem_mb=memory("data"),
            runtime=minutes("data"),
        params:
            script=SCRIPTS / "simulate.py",
            cfg=data.simulation_settings(split),
            code=code("simulate.py"),
            split=split,
        message:
            "Simulate YouTube-8M: {params.split} records"
        shell:
            "python {params.script:q} --config {params.cfg:q} --split {params.split:q}"
            " --records {output.records:q} --truth {output.truth:q} 2>&1 | tee -i {log:q}"


rule index:  # what is in the records of one chunk and where; the frames stay in the records
    input:
        records=lambda wildcards: dataset(wildcards).chunks[wildcards.split][wildcards.chunk],
    output:
        index="results/index/{name}/{split}/{chunk}.h5",
        how="results/index/{name}/{split}/{chunk}.json",
    log:
        "results/index/{name}/{split}/{chunk}.log",
    benchmark:
        "results/index/{name}/{split}/{chunk}.benchmark.tsv"
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=memory("data"),
        runtime=minutes("data"),
    params:
        script=SCRIPTS / "index_records.py",
        cfg=lambda wildcards: dataset(wildcards).index_settings(),
        code=code("index_records.py"),
    message:
        "Index {wildcards.split} records, chunk {wildcards.chunk}"
    shell:
        "python {params.script:q} --config {params.cfg:q}"
        " --records {input.records:q} --out {output.index:q} 2>&1 | tee -i {log:q}"


rule preflight:  # what will starve or is left out, before anything is trained
    input:
        train=lambda wildcards: of(wildcards).data.index("train"),
        segments=lambda wildcards: of(wildcards).data.index("segments"),
        test=lambda wildcards: of(wildcards).data.index("test"),
        classes=lambda wildcards: of(wildcards).data.class_list,
        vocabulary=lambda wildcards: of(wildcards).data.vocabulary,
        splits=ancient(lambda wildcards: of(wildcards).data.split_check),
    output:
        table="results/{experiment}/preflight.csv",
        how="results/{experiment}/preflight.json",
    log:
        "results/{experiment}/preflight.log",
    benchmark:
        "results/{experiment}/preflight.benchmark.tsv"
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=memory("data"),
        runtime=minutes("data"),
    params:
        script=SCRIPTS / "preflight.py",
        cfg=lambda wildcards: of(wildcards).settings.preflight(bool(of(wildcards).variation)),
        code=code("preflight.py"),
    message:
        "Preflight of {wildcards.experiment}: what will starve or is left out"
    shell:
        "python {params.script:q} --config {params.cfg:q}"
        " --train {input.train:q} --segments {input.segments:q} --test {input.test:q}"
        " --classes {input.classes:q} --vocabulary {input.vocabulary:q} --out {output.table:q} 2>&1 | tee -i {log:q}"


rule check_splits:  # no video may be in two, and features are on one scale
    input:
        train=lambda wildcards: dataset(wildcards).index("train"),
        segments=lambda wildcards: dataset(wildcards).index("segments"),
        test=lambda wildcards: dataset(wildcards).index("test"),
    output:
        counts="results/index/{name}/splits.json",
        how="results/index/{name}/splits.how.json",
    log:
        "results/index/{name}/splits.log",
    benchmark:
        "results/index/{name}/splits.benchmark.tsv"
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=memory("data"),
        runtime=minutes("data"),
    params:
        script=SCRIPTS / "check_splits.py",
        cfg=canonical({}),
        code=code("check_splits.py"),
    message:
        "Check that no video is in two splits and features are on one scale"
    shell:
        "python {params.script:q} --config {params.cfg:q} --train {input.train:q}"
        " --segments {input.segments:q} --test {input.test:q} --out {output.counts:q}"
        " 2>&1 | tee -i {log:q}"
