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
        cfg=simulation_settings(),
        code=code("simulate_vocabulary.py"),
    message:
        "Simulate YouTube-8M: the vocabulary"
    shell:
        "python {params.script:q} --config {params.cfg:q}"
        " --vocabulary {output.vocabulary:q} --segment-classes {output.segment_classes:q}"
        " 2>&1 | tee {log:q}"


# The splits differ in their number of files, and a rule's outputs have to be listed.
for split in SPLITS if SIMULATED else []:

    rule:
        name:
            f"simulate_{split}"
        output:
            records=record_files(split),
            truth=f"{SIMULATION_FOLDER}/truth/{split}.npz",
            how=[beside(file) for file in record_files(split)],
        log:
            f"{SIMULATION_FOLDER}/{split}.log",
        benchmark:
            f"{SIMULATION_FOLDER}/{split}.benchmark.tsv"
        conda:
            "../envs/data.yaml"
        resources:
            mem_mb=memory("data"),
            runtime=minutes("data"),
        params:
            script=SCRIPTS / "simulate.py",
            cfg=simulation_settings(),
            code=code("simulate.py"),
            split=split,
        message:
            "Simulate YouTube-8M: {params.split} records"
        shell:
            "python {params.script:q} --config {params.cfg:q} --split {params.split}"
            " --records {output.records:q} --truth {output.truth:q} 2>&1 | tee {log:q}"


rule index:  # what is in the records of one chunk and where; the frames stay in the records
    input:
        lambda wildcards: CHUNKS[wildcards.split][wildcards.chunk],
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
        cfg=canonical({"features": features_of(CONFIG), "segment_frames": DATA["segment_frames"]}),
        code=code("index_records.py"),
    message:
        "Index {wildcards.split} records, chunk {wildcards.chunk}"
    shell:
        "python {params.script:q} --config {params.cfg:q}"
        " --records {input:q} --out {output.index:q} 2>&1 | tee {log:q}"
