# The data: simulated records where none are given, and the index of what is in the records.


rule index:  # what is in the records of one chunk and where; the frames stay in the records
    input:
        lambda wildcards: CHUNKS[wildcards.split][wildcards.chunk],
    output:
        "results/index/{name}/{split}/{chunk}.h5",
    params:
        cfg=canonical({"features": features_of(CONFIG), "segment_frames": DATA["segment_frames"]}),
        code=code("index_records.py"),
    log:
        "results/index/{name}/{split}/{chunk}.log",
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=2000,
        runtime=60,
    message:
        "Index {wildcards.split} records, chunk {wildcards.chunk}"
    shell:
        "python {SCRIPTS:q}/index_records.py --config {params.cfg:q}"
        " --records {input:q} --out {output:q} 2>&1 | tee {log:q}"
