# Several finished experiments side by side: snakemake compare --config experiments='[a, b]'


rule compare:
    input:
        some_experiments,
    output:
        table=f"{COMPARISON}/table.csv",
        differences=f"{COMPARISON}/differences.csv",
        how=[f"{COMPARISON}/table.json", f"{COMPARISON}/differences.json"],
    log:
        f"{COMPARISON}/table.log",
    localrule: True  # its table is for the screen
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=memory("data"),
        runtime=minutes("data"),
    params:
        script=SCRIPTS / "compare.py",
        # The tables are no input, since their own settings made them, not those of this run.
        cfg=compared,
        code=code("compare.py"),
        folders=lambda wildcards, output: [f"results/{name}" for name in COMPARED],
    message:
        f"Compare {', '.join(COMPARED)}"
    shell:
        "python {params.script:q} --config {params.cfg:q} --experiments {params.folders:q}"
        " --out {output.table:q} --differences {output.differences:q} 2>&1 | tee -i {log:q}"
