# Many experiments side by side: what each variation of the settings is worth (config: ablation).


rule summarise:
    input:
        table="results/{experiment}/table.csv",
        ratings=lambda wildcards: of(wildcards).test_ratings(),
        selections=lambda wildcards: of(wildcards).selections(),
        label_sets=lambda wildcards: of(wildcards).label_sets(),
    output:
        summary="results/{experiment}/summary.json",
        how="results/{experiment}/summary.how.json",
    log:
        "results/{experiment}/summary.log",
    benchmark:
        "results/{experiment}/summary.benchmark.tsv"
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=memory("data"),
        runtime=minutes("data"),
    params:
        script=SCRIPTS / "summarise.py",
        cfg=lambda wildcards: of(wildcards).settings.summary(),
        code=code("summarise.py"),
    message:
        "Measure {wildcards.experiment}, with the bootstrap over its test videos"
    shell:
        "python {params.script:q} --config {params.cfg:q} --table {input.table:q}"
        " --ratings {input.ratings:q} --selections {input.selections:q}"
        " --label-sets {input.label_sets:q}"
        " --out {output.summary:q} 2>&1 | tee -i {log:q}"


rule ablation:
    input:
        summaries,
    output:
        tables=[f"{RESULTS}/ablation/{name}.csv" for name in ("runs", "differences", "checks")],
        how=[f"{RESULTS}/ablation/{name}.json" for name in ("runs", "differences", "checks")],
    log:
        f"{RESULTS}/ablation/ablation.log",
    benchmark:
        f"{RESULTS}/ablation/ablation.benchmark.tsv"
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=memory("data"),
        runtime=minutes("data"),
    params:
        script=SCRIPTS / "compare_variations.py",
        cfg=canonical({"runs": [experiment.variation for experiment in VARIATIONS]}),
        code=code("compare_variations.py"),
        folder=lambda wildcards, output: str(Path(output.tables[0]).parent),
    message:
        "Compare the variations of {RESULTS}"
    shell:
        "python {params.script:q} --config {params.cfg:q}"
        " --summaries {input:q} --out {params.folder:q} 2>&1 | tee -i {log:q}"
