# What people look at: figures and the page with the viewer, from the results of everything before.
import reporting


rule inspect_labels:  # what the E-step did: labels by class and estimation, and which are true
    input:
        labels=lambda wildcards: of(wildcards).pseudo_labels(wildcards.i),
        label_sets=lambda wildcards: of(wildcards).label_sets_of(wildcards.i),
        calibration=lambda wildcards: of(wildcards).calibration(wildcards.i),
        # Judged by, after all is learned; nothing of the process reads it.
        truth=lambda wildcards: reporting.truth(of(wildcards), "train"),
    output:
        table="results/{experiment}/em/iteration-{i}/inspection.csv",
        how="results/{experiment}/em/iteration-{i}/inspection.json",
    log:
        "results/{experiment}/em/iteration-{i}/inspection.log",
    benchmark:
        "results/{experiment}/em/iteration-{i}/inspection.benchmark.tsv"
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=memory("data", counted="labels"),
        runtime=minutes("data"),
    params:
        script=SCRIPTS / "inspect_labels.py",
        cfg=lambda wildcards: canonical(reporting.window(of(wildcards))),
        code=lambda wildcards: code(
            "inspect_labels.py",
            *(f"estimators/{name}.py" for name in of(wildcards).estimations(wildcards.i)),
        ),
        label_sets=lambda wildcards: [
            word
            for name in of(wildcards).estimations(wildcards.i)
            for word in ("--label-set", name, of(wildcards).label_set(wildcards.i, name))
        ],
    message:
        "Inspect the labels of E-step {wildcards.i}"
    shell:
        "python {params.script:q} --config {params.cfg:q}"
        " --pseudo-labels {input.labels:q} {params.label_sets:q}"
        " --calibration {input.calibration:q} --truth {input.truth:q}"
        " --out {output.table:q} 2>&1 | tee -i {log:q}"


rule judge_localisations:  # how well they fit the truth, where the records are simulated
    input:
        predictions=lambda wildcards: of(wildcards).predictions(),
        truth=lambda wildcards: reporting.truth(of(wildcards), "test"),
    output:
        table="results/{experiment}/localisation_quality.csv",
        how="results/{experiment}/localisation_quality.json",
    log:
        "results/{experiment}/localisation_quality.log",
    benchmark:
        "results/{experiment}/localisation_quality.benchmark.tsv"
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=memory("data"),
        runtime=minutes("data"),
    params:
        script=SCRIPTS / "judge_localisations.py",
        cfg=lambda wildcards: canonical({"max_frames": of(wildcards).config["data"]["max_frames"]}),
        code=code("judge_localisations.py"),
    message:
        "Judge the localisations by the truth"
    shell:
        "python {params.script:q} --config {params.cfg:q}"
        " --predictions {input.predictions:q} --truth {input.truth:q}"
        " --out {output.table:q} 2>&1 | tee -i {log:q}"


rule choose_videos:  # which videos the page shows, where they are too many for one page
    input:
        test=lambda wildcards: of(wildcards).data.index("test"),
        predictions=lambda wildcards: of(wildcards).predictions(),
        segments=lambda wildcards: of(wildcards).data.index("segments"),
    output:
        table="results/{experiment}/report/videos.csv",
        how="results/{experiment}/report/videos.json",
    log:
        "results/{experiment}/report/videos.log",
    benchmark:
        "results/{experiment}/report/videos.benchmark.tsv"
    conda:
        "../envs/data.yaml"
    resources:
        mem_mb=memory("data"),
        runtime=minutes("data"),
    params:
        script=SCRIPTS / "choose_videos.py",
        cfg=lambda wildcards: reporting.choice_settings(of(wildcards)),
        code=code("choose_videos.py"),
    message:
        "Choose the videos that the report shows"
    shell:
        "python {params.script:q} --config {params.cfg:q}"
        " --test {input.test:q} --predictions {input.predictions:q} --segments {input.segments:q}"
        " --out {output.table:q} 2>&1 | tee -i {log:q}"


rule replay:  # their scores by the teacher after each iteration and by the ensemble
    input:
        scorer=lambda wildcards: reporting.scorer_file(of(wildcards), wildcards.scorer),
        weights=lambda wildcards: reporting.scorer_weights(of(wildcards), wildcards.scorer),
        shown="results/{experiment}/report/videos.csv",
        test=lambda wildcards: of(wildcards).data.index("test"),
        segments=lambda wildcards: of(wildcards).data.index("segments"),
    output:
        test="results/{experiment}/report/scores/{scorer}/test.h5",
        validation="results/{experiment}/report/scores/{scorer}/validation.h5",
        how=[
            "results/{experiment}/report/scores/{scorer}/test.json",
            "results/{experiment}/report/scores/{scorer}/validation.json",
        ],
    log:
        "results/{experiment}/report/scores/{scorer}/replay.log",
    benchmark:
        "results/{experiment}/report/scores/{scorer}/replay.benchmark.tsv"
    wildcard_constraints:
        scorer=r"[FT]\d+|ensemble",
    conda:
        "../envs/torch.yaml"
    threads: scoring_threads
    resources:
        gpu=scoring_gpus,
        mem_mb=memory("score"),
        runtime=minutes("score"),
    params:
        script=SCRIPTS / "replay.py",
        cfg=lambda wildcards: of(wildcards).settings.scoring(),
        code=lambda wildcards: code(
            "replay.py", *reporting.scorer_models(of(wildcards), wildcards.scorer)
        ),
        launcher=launcher,
        speed=scoring_speed,
    message:
        "Score the report's videos: {wildcards.scorer}"
    shell:
        "{params.launcher} {params.script:q} --config {params.cfg:q}"
        " {params.speed}"
        " --scorer {input.scorer:q} --weights {input.weights:q} --shown {input.shown:q}"
        " --test {input.test:q} --segments {input.segments:q}"
        " --out {output.test:q} --validation-out {output.validation:q} 2>&1 | tee -i {log:q}"


rule figures:  # each as SVG, with what it shows as CSV
    input:
        tables=lambda wildcards: reporting.tables(of(wildcards)),
        estimated=lambda wildcards: reporting.estimated(of(wildcards)),
        quality=lambda wildcards: reporting.localisation_quality(of(wildcards)),
        told=lambda wildcards: reporting.told(of(wildcards)),
        vocabulary=lambda wildcards: of(wildcards).data.vocabulary,
    output:
        drawn=[
            report(
                f"results/{{experiment}}/figures/{name}.svg",
                caption=f"captions/{name}.rst",
                category=category,
                labels={"figure": name.replace("_", " ")},
            )
            for name, category in reporting.FIGURES.items()
        ],
        shown=[
            f"results/{{experiment}}/figures/{name}.csv"
            for name in (*reporting.FIGURES, "devices")
        ],
        how=[
            f"results/{{experiment}}/figures/{name}.json"
            for name in (*reporting.FIGURES, "devices")
        ],
    log:
        "results/{experiment}/figures/figures.log",
    benchmark:
        "results/{experiment}/figures/figures.benchmark.tsv"
    conda:
        "../envs/report.yaml"
    resources:
        mem_mb=memory("data"),
        runtime=minutes("data"),
    params:
        script=SCRIPTS / "draw_figures.py",
        cfg=lambda wildcards: canonical(reporting.process(of(wildcards))),
        code=code("draw_figures.py"),
        folder=lambda wildcards: f"{of(wildcards).folder}/figures",
    message:
        "Draw the figures"
    shell:
        "python {params.script:q} --config {params.cfg:q}"
        " --results {input.tables:q} {input.estimated:q} {input.quality:q} --told {input.told:q}"
        " --vocabulary {input.vocabulary:q} --folder {params.folder:q} 2>&1 | tee -i {log:q}"


rule report:  # one page for people, with the viewer
    input:
        tables=lambda wildcards: reporting.tables(of(wildcards)),
        ratings=lambda wildcards: reporting.ratings(of(wildcards)),
        figures=lambda wildcards: reporting.figure_files(of(wildcards)),
        test=lambda wildcards: of(wildcards).data.index("test"),
        segments=lambda wildcards: of(wildcards).data.index("segments"),
        train=lambda wildcards: of(wildcards).data.index("train"),
        scores=lambda wildcards: reporting.replays(of(wildcards)),
        truth=lambda wildcards: [
            *reporting.truth(of(wildcards), "test"),
            *reporting.truth(of(wildcards), "segments"),
        ],
    output:
        page=report(
            "results/{experiment}/report.html",
            caption="captions/report.rst",
            category="Report",
            labels={"figure": "everything, with the viewer"},
        ),
        how="results/{experiment}/report.json",
    log:
        "results/{experiment}/report.log",
    benchmark:
        "results/{experiment}/report.benchmark.tsv"
    conda:
        "../envs/report.yaml"
    resources:
        mem_mb=memory("data"),
        runtime=minutes("data"),
    params:
        script=SCRIPTS / "report.py",
        cfg=lambda wildcards: reporting.page_settings(of(wildcards)),
        code=code("report.py"),
    message:
        "Write {output.page}"
    shell:
        "python {params.script:q} --config {params.cfg:q}"
        " --results {input.tables:q} {input.ratings:q} --figures {input.figures:q}"
        " --test {input.test:q} --segments {input.segments:q} --train {input.train:q}"
        " --scores {input.scores:q}"
        " --truth {input.truth:q} --out {output.page:q} 2>&1 | tee -i {log:q}"
